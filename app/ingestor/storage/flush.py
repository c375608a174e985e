"""One flush: series first, then one transaction of ledger, COPY and rejects, then COMMIT.

READ COMMITTED with plain BEGIN and COMMIT. A part is stored together with its key or not at all, so whatever breaks
in between, a repeat of the same batch ends in the same rows.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import asyncpg
import numpy as np
from numpy.typing import NDArray

from ingestor.errors import LimitError, PermanentError
from ingestor.points import Reject, SeriesTable
from ingestor.storage.claims import PartClaims
from ingestor.storage.connection import Connection, describe
from ingestor.storage.contract import Batch, ErrorClass, Failed, FlushError, Outcome, Part, Stored
from ingestor.storage.ledger import Floor
from ingestor.storage.refused import RowRefusedError, SetAside, copy_all, copy_setting_aside
from ingestor.storage.rejects import ROWS_PER_S, RejectSampler, insert_rejects
from ingestor.storage.rows import Rows, by_table, describe_point, lay_out
from ingestor.storage.series import NewSeriesLimit, Unregistered, register_series
from ingestor.storage.sqlstate import COMMIT_UNKNOWN, classify
from ingestor.telemetry.phases import Phases

_REGISTER_TIMEOUT_S = 5.0
"""Longest time for a batch's new series, the wait for another lane's included: a dead connection must not stop all."""


@dataclass(frozen=True, slots=True)
class FlushSettings:
    """What all flushes of a process share.

    One flush registers series at a time: two with the same new ones would both be charged for them.
    """

    pod: str
    deduplication_window_min: int
    new_series: NewSeriesLimit
    rejects: RejectSampler
    phases: Phases
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    registering: asyncio.Lock = field(default_factory=asyncio.Lock)


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
        self._measure = settings.phases.measure
        self._outcomes: list[Outcome | None] = [None] * len(batch.parts)
        self._collided: dict[int, NDArray[np.bool_]] = {}
        self._commit_sent = False

    async def run(self) -> list[Outcome]:
        """Store the batch and return one outcome a part; see ``contract.Writer.flush``."""
        await self._register_series()
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

    async def _register_series(self) -> None:
        if not any(part.points.table.lacks(self._epoch) for part in self._parts):
            return
        for table, slots in by_table([part.points for part in self._parts]):
            if not len(table.missing(slots, self._epoch)):
                continue
            with self._measure("series"):
                async with asyncio.timeout(_REGISTER_TIMEOUT_S), self._settings.registering:
                    missing = table.missing(slots, self._epoch)
                    limit = self._settings.new_series
                    unregistered = await register_series(self._connection, table, missing, self._epoch, limit)
            self._exclude(table, unregistered)

    def _exclude(self, table: SeriesTable, unregistered: Unregistered) -> None:
        """Fail the parts with new series over the limit; mark points whose series id is another series'."""
        if not len(unregistered.over_limit) and not len(unregistered.collided):
            return
        for index, part in enumerate(self._parts):
            if part.points.table is not table:
                continue
            if np.isin(part.points.slots, unregistered.over_limit).any():
                wait_s = self._settings.new_series.wait_s(len(unregistered.over_limit))
                error = LimitError("too many new series", reason="new_series_limit", retry_after_s=wait_s)
                self._outcomes[index] = Failed(error)
            elif (marked := np.isin(part.points.slots, unregistered.collided)).any():
                self._collided[index] = marked

    async def _transaction(self) -> None:
        await self._connection.execute(f"{self._connection.begin}; SAVEPOINT start")
        before = list(self._outcomes)
        try:
            stored = await self._claim_and_copy(copy_all)
        except RowRefusedError:
            await self._connection.execute("ROLLBACK TO SAVEPOINT start")
            self._outcomes = before
            stored = await self._claim_and_copy(copy_setting_aside)
        await self._keep_rejects(stored)
        with self._measure("commit"):
            self._commit_sent = True
            status = await self._connection.execute("COMMIT")
        if status != "COMMIT":
            raise FlushError(f"COMMIT was answered by {status}", ErrorClass.UNKNOWN)

    async def _claim_and_copy(self, copy: Callable[[Connection, Rows], Awaitable[SetAside]]) -> list[int]:
        """Claim what is ours, copy its rows, and return the parts that are stored by this transaction."""
        lost = [int(self._collided[index].sum()) if index in self._collided else 0 for index in range(len(self._parts))]
        storable = [len(part.points) - lost[index] for index, part in enumerate(self._parts)]
        claims = PartClaims(self._connection, self._batch, storable, self._floor)
        with self._measure("ledger"):
            for index, outcome in (await claims.claim(self._open())).items():
                self._outcomes[index] = outcome
        ours = self._open()
        rows = lay_out(
            [self._parts[index].points for index in ours],
            self._chunk_us,
            [self._collided.get(index) for index in ours],
        )
        aside = SetAside()
        if len(rows):
            with self._measure("copy"):
                aside = await copy(self._connection, rows)
        refused = Counter(ours[owner] for owner, _ in aside.rejects)
        if refused:
            await claims.correct(ours, refused)
        for position, index in enumerate(ours):
            rejects = (*self._collisions(index), *aside.rows_of(position))
            self._outcomes[index] = Stored(storable[index] - refused[index], rejects)
        return ours

    def _collisions(self, index: int) -> Iterator[Reject]:
        if index in self._collided:
            for position in np.flatnonzero(self._collided[index]):
                message = "the id of this series belongs to another series"
                yield describe_point(self._parts[index].points, int(position), "series_collision", message)

    async def _keep_rejects(self, stored: list[int]) -> None:
        rejects: list[Reject] = []
        for index in stored:
            outcome = self._outcomes[index]
            rejects += self._parts[index].rejects
            rejects += outcome.refused if isinstance(outcome, Stored) else ()
        for part, outcome in zip(self._parts, self._settled(), strict=True):
            if part.answered and isinstance(outcome, Failed) and isinstance(outcome.error, PermanentError):
                rejects += _given_up(part, outcome.error)
        kept = self._settings.rejects.sample(rejects)
        if kept:
            with self._measure("rejects"):
                await insert_rejects(self._connection, self._settings.pod, kept)


def _given_up(part: Part, error: PermanentError) -> list[Reject]:
    """Return what is kept of a part whose caller was answered before the database refused it."""
    count = min(len(part.points), ROWS_PER_S)
    return [describe_point(part.points, position, error.reason, str(error)) for position in range(count)]
