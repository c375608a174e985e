"""The new series of a batch, before its transaction: who has series that can't be stored is held up alone."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import numpy as np

from ingestor.errors import LimitError, TransientError
from ingestor.points import SeriesTable, SlotColumn
from ingestor.storage.connection import Connection, describe
from ingestor.storage.contract import Deferred, ErrorClass, Failed, Outcome, Part
from ingestor.storage.series import NewSeriesLimit, Unregistered, register_series
from ingestor.storage.set_aside import REFUSED
from ingestor.storage.sqlstate import classify

TIMEOUT_S = 5.0
"""Longest time for a batch's new series, and for the wait for another lane's: a dead connection must not stop all."""

_TABLE = ("series",)
"""What parts wait for that wait for the table itself."""


@dataclass(frozen=True, slots=True)
class Registrar:
    """What all flushes of a process share.

    One flush registers series at a time: two with the same new ones would both be charged for them.
    """

    limit: NewSeriesLimit
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Registration:
    """Registers the new series of one batch; ``outcomes`` are those of the parts that can't be stored now."""

    def __init__(self, connection: Connection, parts: Sequence[Part], epoch: int, registrar: Registrar) -> None:
        self._connection = connection
        self._parts = parts
        self._epoch = epoch
        self._registrar = registrar
        self.outcomes: dict[int, Outcome] = {}

    @property
    def needed(self) -> bool:
        """Return True if some series may be new."""
        return any(part.points.table.lacks(self._epoch) for part in self._parts)

    async def run(self) -> None:
        """Register what is new.

        Raises:
            asyncpg.PostgresError: the connection is lost, or all parts have new series and none can be stored.
        """
        tables = dict.fromkeys(part.points.table for part in self._parts)
        for table in tables:
            slots = np.concatenate([part.storable_slots for part in self._parts if part.points.table is table])
            if not len(table.missing(slots, self._epoch)):
                continue
            try:
                await self._register(table, slots)
            except asyncpg.PostgresError as error:
                reason = TransientError(f"new series can't be stored: {describe(error)}", reason="series_not_stored")
                waits_for = _TABLE if isinstance(error, asyncpg.LockNotAvailableError) else None
                if classify(error) is ErrorClass.CONNECTION or not self._defer(table, Deferred(reason, waits_for)):
                    raise

    async def _register(self, table: SeriesTable, slots: SlotColumn) -> None:
        turn, limit = self._registrar.turn, self._registrar.limit
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await turn.acquire()
        except TimeoutError:
            busy = TransientError("other new series take too long", reason="series_not_stored")
            self._defer(table, Deferred(busy, _TABLE))
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                missing = table.missing(slots, self._epoch)
                to_blame = all(part.to_blame for part in self._parts)
                unregistered = await register_series(
                    self._connection, table, missing, self._epoch, limit, to_blame=to_blame
                )
                self._exclude(table, unregistered)
        finally:
            turn.release()

    def _defer(self, table: SeriesTable, deferred: Deferred) -> bool:
        """Defer the parts with series that are not registered; return False if no other part is left."""
        lacking = [
            index
            for index, part in enumerate(self._parts)
            if part.points.table is table and len(table.missing(part.storable_slots, self._epoch))
        ]
        self.outcomes |= {index: deferred for index in lacking if index not in self.outcomes}
        return len(self.outcomes) < len(self._parts)

    def _exclude(self, table: SeriesTable, unregistered: Unregistered) -> None:
        """Fail the parts with new series over the limit; set aside the points of series that can't be stored."""
        collided = dict.fromkeys(unregistered.collided.tolist(), "the id of this series belongs to another series")
        for index, part in enumerate(self._parts):
            if part.points.table is not table:
                continue
            if np.isin(part.storable_slots, unregistered.over_limit).any():
                wait_s = self._registrar.limit.wait_s(len(unregistered.over_limit))
                error = LimitError("too many new series", reason="new_series_limit", retry_after_s=wait_s)
                self.outcomes[index] = Failed(error)
            _set_aside(part, collided, "series_collision")
            _set_aside(part, unregistered.refused, REFUSED)


def _set_aside(part: Part, messages: Mapping[int, str], reason: str) -> None:
    """Set aside the points of the series in ``messages``, by slot."""
    if not messages:
        return
    slots = part.points.slots
    for position in np.flatnonzero(np.isin(slots, [*messages])).tolist():
        part.set_points_aside([position], reason, messages[int(slots[position])])
