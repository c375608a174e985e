"""What becomes of the requests of a flush that failed: others must not wait for the one that is at fault.

A failed batch is halved until what fails is one request, which waits from then on and is tried by itself, with growing
pauses. If the database takes others between its tries, the request is to blame; after ``MAX_BLAMES`` such tries it is
set aside as a whole. If the database commits nothing at all, the lane is down, and the others go back to the buffer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ingestor.errors import PermanentError, TransientError
from ingestor.pipeline.buffer import Buffer
from ingestor.pipeline.health import DatabaseHealth, retry_delay_s
from ingestor.pipeline.held import Held
from ingestor.pipeline.settlement import Settlement
from ingestor.storage.contract import PAGE_ROWS, Deferred, ErrorClass, Failed, FlushError
from ingestor.storage.set_aside import REFUSED

MAX_BLAMES = 8
"""Tries of a request to blame; with their pauses a quarter of a minute, so that a passing fault has passed."""
MAX_FAILURES = 2
"""Failures that a request may share with others: lost connections, deadlocks, time limits."""
_MAX_ALONE = 3
"""Requests of a batch that fail alone, while none is stored, until the database is asked to commit something."""
_CERTAIN = {ErrorClass.DATA: REFUSED, ErrorClass.SPLIT: "too_wide"}
"""What a request that fails alone is to blame for at once, with the reason that its points get."""


class FailedFlush:
    """Deals with the failed flushes of one lane.

    ``store`` flushes requests and settles them, ``prove`` commits something; both raise ``FlushError`` if they can't.
    """

    def __init__(
        self,
        lane: int,
        store: Callable[[list[Held]], Awaitable[None]],
        prove: Callable[[int], Awaitable[None]],
        buffer: Buffer,
        settlement: Settlement,
        health: DatabaseHealth,
    ) -> None:
        self._lane = lane
        self._store = store
        self._prove_commit = prove
        self._buffer = buffer
        self._settlement = settlement
        self._health = health

    async def handle(self, error: FlushError, helds: list[Held]) -> None:
        """Make sure that every request of a failed batch is settled, deferred, or back in the buffer.

        Raises:
            FlushError: the connection must be made anew.
        """
        if error.error_class is ErrorClass.CONNECTION:
            self._lose(helds, error)
            raise error
        if error.error_class is ErrorClass.RETRY and not any(held.failures for held in helds):
            self._share(helds)
            self._give_back(helds)
            await self._pause(error)
            return
        await self._isolate(error, helds)

    async def _isolate(self, error: FlushError, helds: list[Held]) -> None:
        """Store a failed batch by ever smaller parts, until what fails does so alone.

        Raises:
            FlushError: the database is to blame, or the connection is gone.
        """
        commits, proven, alone = self._health.commits, False, 0
        waiting = [helds]
        while waiting:
            part = waiting.pop()
            if part is not helds:
                found = await self._try(part, waiting)
                if found is None:
                    continue
                error = found
            if len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            alone += 1
            await self._fail_alone(error, part[0], commits)
            proven = proven or self._health.commits != commits or part[0].blames > 0
            if not proven and (alone >= _MAX_ALONE or not waiting):
                proven = await self._prove(error, waiting)
        self._health.flush_failed(self._lane, error)

    async def _try(self, part: list[Held], waiting: list[list[Held]]) -> FlushError | None:
        """Store a part of a batch; return why it can't be. If the connection is gone, all go back to the buffer."""
        try:
            await self._store(part)
        except FlushError as error:
            if error.if_committed is None and error.error_class is not ErrorClass.CONNECTION:
                return error
            if error.if_committed is None:
                self._lose(part, error)
            self._give_back(_joined(waiting))
            raise
        return None

    async def _prove(self, error: FlushError, waiting: list[list[Held]]) -> bool:
        """Return True if the database takes points, though it did not take these.

        Raises:
            FlushError: it takes none; all that wait are back in the buffer.
        """
        try:
            # One row may fit where points do not.
            await self._prove_commit(PAGE_ROWS if error.error_class is ErrorClass.DISK_FULL else 1)
        except FlushError:
            self._give_back(_joined(waiting))
            raise
        return True

    async def _pause(self, error: FlushError) -> None:
        self._health.flush_failed(self._lane, error)
        await asyncio.sleep(retry_delay_s(1, error.error_class))

    async def _fail_alone(self, error: FlushError, held: Held, commits: int) -> None:
        """Deal with a request that failed alone; ``commits`` is how many there were when its batch failed."""
        if reason := _CERTAIN.get(error.error_class):
            await self._set_aside(error, held, reason)
        elif self._blame(held, commits):
            await self._set_aside(error, held, REFUSED)
        else:
            self._defer(held)

    def _lose(self, helds: list[Held], error: FlushError) -> None:
        """Give back what a lost connection did not store; a request that loses one again and again goes alone."""
        self._buffer.shrink(len(helds))
        if len(helds) > 1:
            self._share(helds)
            self._give_back(helds)
            return
        if self._blame(helds[0], self._health.commits):
            _set_aside(helds[0], error, REFUSED)
        self._defer(helds[0])

    def _share(self, helds: list[Held]) -> None:
        """Count a failure of many, if others were stored since each one's last."""
        for held in helds:
            held.failures += held.blamed_at != self._health.commits
            held.blamed_at = self._health.commits

    def _blame(self, held: Held, commits: int) -> bool:
        """Count a failure that others did not share; return True if not even the search for its rows at fault helped.

        After too many such failures its next try is that search.
        """
        searched = held.part.to_blame
        since = commits if held.blamed_at is None else held.blamed_at
        held.blames += self._health.commits > since
        held.blamed_at = self._health.commits
        held.part.to_blame = held.blames >= MAX_BLAMES
        return searched

    async def _set_aside(self, error: FlushError, held: Held, reason: str) -> None:
        """Settle a request with none of its points stored, under its key, its points kept in ``rejects``."""
        _set_aside(held, error, reason)
        try:
            await self._store([held])
        except FlushError as failed:
            if failed.if_committed is not None:
                raise
            if failed.error_class not in _CERTAIN:
                self._give_back([held])
                if failed.error_class is ErrorClass.CONNECTION:
                    raise
                return
            refusal = PermanentError(f"the database does not take it: {error}", reason=reason)
            self._settlement.settle(held, Failed(refusal))

    def _give_back(self, helds: Sequence[Held]) -> None:
        """Let requests be tried again: those to blame, or that failed often, by themselves."""
        for held in helds:
            if held.blames or held.failures >= MAX_FAILURES:
                self._defer(held)
            else:
                self._buffer.give_back(held)

    def _defer(self, held: Held) -> None:
        self._buffer.defer(held, Deferred(TransientError("not committed in time", reason="commit_timeout"), None))


def _set_aside(held: Held, error: FlushError, reason: str) -> None:
    held.part.set_points_aside(range(len(held.part.points)), reason, str(error))


def _joined(parts: list[list[Held]]) -> list[Held]:
    return [held for part in reversed(parts) for held in part]
