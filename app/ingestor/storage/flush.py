"""One flush: series first, then one transaction of ledger, COPY and rejects, then COMMIT.

READ COMMITTED with plain BEGIN and COMMIT. A part is stored together with its key or not at all, so whatever breaks
in between, a repeat of the same batch ends in the same rows.

A part that the others need not wait for gets an outcome of its own on the way: points that the database refuses are
set aside, a part that meets a lock is deferred. The transaction then starts again from its savepoint without them.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import asyncpg

from ingestor.errors import PermanentError, TransientError
from ingestor.points import Reject
from ingestor.storage.claims import PartClaims
from ingestor.storage.connection import Connection, describe
from ingestor.storage.contract import Batch, Deferred, ErrorClass, Failed, FlushError, Outcome, Part
from ingestor.storage.copy_rows import blocks, copy_block, copy_rows
from ingestor.storage.isolation import Isolation, rows_of
from ingestor.storage.ledger import Floor
from ingestor.storage.registration import Registrar, Registration
from ingestor.storage.rejects import ROWS_PER_S, RejectSampler, keep_rejects
from ingestor.storage.rows import Rows, describe_point
from ingestor.storage.set_aside import REFUSED
from ingestor.storage.sqlstate import COMMIT_UNKNOWN, classify
from ingestor.telemetry.phases import Phases


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a flush waits for a lock, and for one that it looks for, in milliseconds.

    ``search_s`` is how long it searches for refused rows, in seconds.
    """

    lock_ms: int
    probe_ms: int
    search_s: float


_TOGETHER = Patience(lock_ms=100, probe_ms=10, search_s=2.0)
_ALONE = Patience(lock_ms=1, probe_ms=1, search_s=10.0)
_TO_BLAME = Patience(lock_ms=1_000, probe_ms=1, search_s=10.0)
"""A part that is tried alone was told to wait: it must not keep others waiting for a lock, but its rows need time."""


@dataclass(frozen=True, slots=True)
class FlushSettings:
    """What all flushes of a process share."""

    pod: str
    deduplication_window_min: int
    registrar: Registrar
    rejects: RejectSampler
    phases: Phases
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class _SearchTimeUpError(Exception):
    """The time for refused rows is used up; ``undecided`` are the parts of which rows are left."""

    def __init__(self, undecided: set[int]) -> None:
        super().__init__("the search for refused rows takes too long")
        self.undecided = undecided


class Flush:
    """One attempt to store one batch on one connection."""

    def __init__(
        self, connection: Connection, batch: Batch, settings: FlushSettings, floor: Floor, *, chunk_us: int, epoch: int
    ) -> None:
        self._connection = connection
        self._parts = batch.parts
        self._batch = batch
        self._settings = settings
        self._floor = floor
        self._chunk_us = chunk_us
        self._epoch = epoch
        self._to_blame = all(part.to_blame for part in batch.parts)
        self._patience = _TO_BLAME if self._to_blame else _ALONE if batch.alone else _TOGETHER
        self._measure = settings.phases.measure
        self._outcomes: list[Outcome | None] = [None] * len(batch.parts)
        self._commit_sent = False

    async def run(self) -> list[Outcome]:
        """Store the batch and return one outcome a part; see ``contract.Writer.flush``."""
        registration = Registration(self._connection, self._parts, self._epoch, self._settings.registrar)
        if registration.needed:
            with self._measure("series"):
                await registration.run()
            for index, outcome in registration.outcomes.items():
                self._outcomes[index] = outcome
        try:
            await self._transaction()
        except (asyncpg.PostgresError, FlushError) as error:
            if not isinstance(error, FlushError) and classify(error) is ErrorClass.CONNECTION:
                raise
            await self._connection.execute("ROLLBACK")
            raise
        return self._settled()

    def failure(self, error: BaseException) -> FlushError:
        """Return what ``error`` means for the batch."""
        error_class = classify(error)
        state = getattr(error, "sqlstate", None)
        unknown = self._commit_sent and (error_class is ErrorClass.CONNECTION or state == COMMIT_UNKNOWN)
        return FlushError(describe(error), error_class, if_committed=tuple(self._settled()) if unknown else None)

    def _settled(self) -> list[Outcome]:
        return cast("list[Outcome]", self._outcomes)

    def _open(self) -> list[int]:
        """Return the parts that have no outcome yet."""
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    async def _transaction(self) -> None:
        lock_timeout = f"SET LOCAL lock_timeout = '{self._patience.lock_ms}ms'"
        await self._connection.execute(f"{self._connection.begin}; {lock_timeout}; SAVEPOINT start")
        with self._settings.rejects.sample(self._rejects(await self._store())) as kept:
            if kept:
                with self._measure("rejects"):
                    await keep_rejects(self._connection, self._settings.pod, kept, last_try=self._to_blame)
            await self._commit()

    async def _commit(self) -> None:
        with self._measure("commit"):
            self._commit_sent = True
            status = await self._connection.execute("COMMIT")
        if status != "COMMIT":
            raise FlushError(f"COMMIT was answered by {status}", ErrorClass.UNKNOWN)

    async def _store(self) -> list[int]:
        """Store what can be stored now and return the parts; each new start leaves out more of the batch."""
        before, search = list(self._outcomes), self._to_blame
        while True:
            try:
                return await self._claim_and_copy(search=search)
            except _SearchTimeUpError as error:
                deferred = dict.fromkeys(error.undecided, Deferred(_still_searching(), None, claimed=True))
                search = False
            except asyncpg.PostgresError as error:
                error_class = classify(error)
                if error_class is ErrorClass.CONNECTION or (search and error_class is ErrorClass.DATA):
                    raise
                await self._start_again(before)
                search = error_class is ErrorClass.DATA
                deferred = {} if search else await self._isolation().held_up_by(error)
                if not search and not deferred:
                    raise
            await self._start_again(before)
            for index, outcome in deferred.items():
                before[index] = self._outcomes[index] = outcome

    def _isolation(self) -> Isolation:
        return Isolation(self._connection, self._parts, self._open(), self._chunk_us, self._patience.probe_ms)

    async def _start_again(self, outcomes: list[Outcome | None]) -> None:
        await self._connection.execute("ROLLBACK TO SAVEPOINT start")
        self._outcomes = list(outcomes)

    async def _claim_and_copy(self, *, search: bool) -> list[int]:
        """Claim what is ours, copy its rows, and return the parts that are stored by this transaction."""
        claims = PartClaims(self._connection, self._batch, self._floor)
        with self._measure("ledger"):
            for index, outcome in (await claims.claim(self._open())).items():
                self._outcomes[index] = outcome
        ours = self._open()
        rows = rows_of(self._parts, ours, self._chunk_us)
        if len(rows):
            with self._measure("copy"):
                await (self._copy_by_blocks(rows, ours) if search else copy_rows(self._connection, rows, 0, len(rows)))
        if search:
            await claims.correct(ours)
        for index in ours:
            self._outcomes[index] = self._parts[index].stored()
        return ours

    async def _copy_by_blocks(self, rows: Rows, ours: Sequence[int]) -> None:
        """Copy all rows but those that the database refuses, and set these aside.

        Raises:
            _SearchTimeUpError: it takes too long; what was set aside until then stays so in later attempts.
        """
        give_up_at = time.monotonic() + self._patience.search_s
        for first, end in blocks(rows):
            if time.monotonic() > give_up_at:
                raise _SearchTimeUpError({ours[rows.locate(row)[0]] for row in range(first, len(rows))})
            refused = await copy_block(self._connection, rows, first, end, to_blame=self._to_blame)
            for row, message in refused.items():
                owner, position = rows.locate(row)
                self._parts[ours[owner]].set_points_aside([position], REFUSED, message)

    def _rejects(self, stored: Sequence[int]) -> list[Reject]:
        """Return the points that this transaction leaves out, as far as they are described."""
        rejects: list[Reject] = []
        for index in stored:
            part = self._parts[index]
            rejects += (*part.rejects, *(part.set_aside.rejects if part.set_aside else ()))
        for part, outcome in zip(self._parts, self._settled(), strict=True):
            if part.answered and isinstance(outcome, Failed) and isinstance(outcome.error, PermanentError):
                rejects += _given_up(part, outcome.error)
        return rejects


def _still_searching() -> TransientError:
    return TransientError("points that the database refuses are being searched for", reason="commit_timeout")


def _given_up(part: Part, error: PermanentError) -> list[Reject]:
    """Return what is kept of a part whose caller was answered before the database refused it."""
    count = min(len(part.points), ROWS_PER_S)
    return [describe_point(part.points, position, error.reason, str(error)) for position in range(count)]
