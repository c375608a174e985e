"""Find the parts of a batch that hold up the others, in its transaction: what is tried here is rolled back."""

from collections.abc import Sequence

import asyncpg
import numpy as np

from ingestor.errors import TransientError
from ingestor.storage.connection import Connection, describe
from ingestor.storage.contract import Deferred, ErrorClass, Part
from ingestor.storage.copy_rows import copy_rows
from ingestor.storage.rows import Rows, lay_out
from ingestor.storage.sqlstate import classify

# No point of anybody's: whether somebody has locked the chunk must not depend on what a trigger makes of a point.
_PROBE = """
INSERT INTO {schema}.samples (time, series_id, value)
VALUES (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', 0, 0)
"""
_MAX_FAILING = 3
"""Parts that fail alone, while none can be stored, until it is the database's fault."""
_OF_ALL = (ErrorClass.DISK_FULL, ErrorClass.SPLIT)
"""What depends on how much is stored, so that a part that passes alone says nothing."""


class Isolation:
    """Tries the parts in ``chosen`` by themselves, and waits ``lock_ms`` milliseconds for each lock."""

    def __init__(
        self, connection: Connection, parts: Sequence[Part], chosen: Sequence[int], chunk_us: int, lock_ms: int
    ) -> None:
        self._connection = connection
        self._parts = parts
        self._chosen = chosen
        self._chunk_us = chunk_us
        self._lock_timeout = f"SET LOCAL lock_timeout = '{lock_ms}ms'"

    async def held_up_by(self, error: asyncpg.PostgresError) -> dict[int, Deferred]:
        """Return an outcome for each part that made its batch fail with ``error``; nothing if all did, or none.

        Raises:
            asyncpg.PostgresError: the connection is lost.
        """
        found: dict[int, Deferred] = {}
        if isinstance(error, asyncpg.LockNotAvailableError):
            found = await self._behind_locks()
        if not found and not _is_of_all(error):
            found = await self._failing()
        return found

    async def _behind_locks(self) -> dict[int, Deferred]:
        """Return the parts with points in a chunk that somebody has locked."""
        rows = rows_of(self._parts, self._chosen, self._chunk_us)
        numbers = rows.times_us // self._chunk_us
        found: dict[int, Deferred] = {}
        for number, first in zip(*np.unique(numbers, return_index=True), strict=True):
            if not await self._is_locked(int(rows.times_us[first])):
                continue
            deferred = Deferred.behind_chunk(int(number))
            owners = {rows.locate(int(row))[0] for row in np.flatnonzero(numbers == number)}
            found |= {self._chosen[owner]: deferred for owner in owners}
        return found

    async def _is_locked(self, time_us: int) -> bool:
        await self._connection.execute(f"SAVEPOINT probe; {self._lock_timeout}")
        locked = False
        try:
            await self._connection.execute(_PROBE, time_us)
        except asyncpg.PostgresError as error:
            if classify(error) is ErrorClass.CONNECTION:
                raise
            locked = isinstance(error, asyncpg.LockNotAvailableError)
        await self._connection.execute("ROLLBACK TO SAVEPOINT probe")
        return locked

    async def _failing(self) -> dict[int, Deferred]:
        """Return the parts that fail alone, while others do not."""
        found: dict[int, Deferred] = {}
        passed = False
        waiting = [list(self._chosen)]
        while waiting:
            some = waiting.pop()
            error = await self._try(some)
            if error is not None and len(some) > 1:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
                continue
            if error is None or classify(error) is ErrorClass.DATA:  # the next start sets rows aside
                passed = True
                continue
            found[some[0]] = Deferred(TransientError(describe(error), reason="commit_timeout"), None, claimed=True)
            if not passed and len(found) == _MAX_FAILING:
                return {}
        return found if passed else {}

    async def _try(self, some: Sequence[int]) -> asyncpg.PostgresError | None:
        """Return why the rows of some parts can't be stored, None if they can."""
        rows = rows_of(self._parts, some, self._chunk_us)
        if not len(rows):
            return None
        await self._connection.execute(f"SAVEPOINT trial; {self._lock_timeout}")
        failed = None
        try:
            await copy_rows(self._connection, rows, 0, len(rows))
        except asyncpg.PostgresError as error:
            if classify(error) is ErrorClass.CONNECTION:
                raise
            failed = error
        await self._connection.execute("ROLLBACK TO SAVEPOINT trial")
        return failed


def rows_of(parts: Sequence[Part], chosen: Sequence[int], chunk_us: int) -> Rows:
    """Return the rows of the parts in ``chosen``."""
    some = [parts[index] for index in chosen]
    return lay_out([part.points for part in some], chunk_us, [part.set_aside for part in some])


def _is_of_all(error: asyncpg.PostgresError) -> bool:
    return classify(error) in _OF_ALL or isinstance(error, asyncpg.QueryCanceledError)
