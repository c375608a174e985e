"""Make sure that the database has a batch's series before its rows go in.

Outside the flush's transaction: inside it, new series made other flushes wait for the whole COPY, and two sorted
inserts in one transaction deadlocked (both measured).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
import numpy as np

from ingestor.points import SeriesTable, SlotColumn
from ingestor.storage.by_halves import BLOCK_ROWS, insert_by_halves, search_statement
from ingestor.storage.connection import Connection, transaction
from ingestor.storage.sqlstate import is_search_of_use

_KNOWN = "SELECT id, digest FROM {schema}.series WHERE id = ANY($1::bigint[])"
_INSERT = """
INSERT INTO {schema}.series (id, digest, service_name, metric_name, labels)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::jsonb[]) ORDER BY 1
ON CONFLICT (id) DO NOTHING
"""
_INSERT_BLOCK = """
INSERT INTO {schema}.series (id, digest, service_name, metric_name, labels)
SELECT (one->>0)::bigint, decode(one->>1, 'hex'), one->>2, one->>3, (one->4)::jsonb FROM unnest(block) AS one ORDER BY 1
ON CONFLICT (id) DO NOTHING
"""
_SEARCH = search_statement(_INSERT_BLOCK)
_SEARCH_TO_BLAME = search_statement(_INSERT_BLOCK, to_blame=True)
_LOCK_TIMEOUT = "; SET LOCAL lock_timeout = '100ms'"
_SEARCH_S = 2.0
"""Longest search for refused series in one flush; what is left waits for its next."""


class NewSeriesLimit:
    """A token bucket of rows that may be inserted into ``series``, one for all connections of a process.

    It holds one second's worth: a burst of that size passes at once.
    """

    def __init__(self, rows_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rows_per_s
        self._clock = clock
        self._tokens = rows_per_s
        self._filled_at = clock()

    def take(self, wanted: int) -> int:
        """Take up to ``wanted`` tokens and return how many there were."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def wait_s(self, wanted: int) -> float:
        """Return in how many seconds ``wanted`` rows could be inserted, in steps of the bucket's size."""
        return max(0.0, wanted - self._tokens) / self._rate


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Slots whose rows can't be stored, and why.

    ``collided`` have ids that belong to other series; ``refused`` are those that the database refused, with its words;
    ``over_limit`` are new series over the limit, and those for which there was no time.
    """

    collided: SlotColumn
    over_limit: SlotColumn
    refused: dict[int, str]


async def register_series(
    connection: Connection,
    table: SeriesTable,
    slots: SlotColumn,
    epoch: int,
    limit: NewSeriesLimit,
    *,
    to_blame: bool = False,
) -> Unregistered:
    """Insert the series of ``slots`` (distinct) that the database lacks, and remember those it has.

    ``to_blame`` says that they are of a part that is: any error is taken for a series'.

    One sorted INSERT in a transaction of its own, then a second statement that compares digests: a single statement
    would not see a twin that commits meanwhile. A collision of ids is never merged.
    """
    async with transaction(connection, _LOCK_TIMEOUT):
        known = await _digests(connection, table, slots)
        new = slots[[series_id not in known for series_id in table.ids(slots).tolist()]]
        allowed, over_limit = np.split(new, [limit.take(len(new))])
        refused: dict[int, str] = {}
        if len(allowed):
            refused, undecided = await _insert(connection, table, allowed, to_blame=to_blame)
            over_limit = np.concatenate([over_limit, undecided])
            known |= await _digests(connection, table, allowed)
    left_out = {*over_limit.tolist(), *refused}
    collided = [
        slot for slot in slots.tolist() if slot not in left_out and known.get(_id(table, slot)) != table.digests[slot]
    ]
    table.mark_stored(slots[~np.isin(slots, [*collided, *left_out])], epoch)
    return Unregistered(np.array(collided, np.int32), over_limit, refused)


async def _insert(
    connection: Connection, table: SeriesTable, slots: SlotColumn, *, to_blame: bool
) -> tuple[dict[int, str], SlotColumn]:
    """Insert the series of ``slots``; return those that the database refused, and those it was not asked for."""
    series = [table.series[slot] for slot in slots]
    await connection.execute("SAVEPOINT series")
    try:
        await connection.execute(
            _INSERT,
            table.ids(slots).tolist(),
            [table.digests[slot] for slot in slots],
            [one.service_name for one in series],
            [one.metric_name for one in series],
            [one.labels_json() for one in series],
        )
    except asyncpg.PostgresError as error:
        if not is_search_of_use(error, to_blame=to_blame):
            raise
        await connection.execute("ROLLBACK TO SAVEPOINT series")
        return await _insert_by_halves(connection, table, slots, _SEARCH_TO_BLAME if to_blame else _SEARCH)
    return {}, slots[:0]


async def _insert_by_halves(
    connection: Connection, table: SeriesTable, slots: SlotColumn, search: str
) -> tuple[dict[int, str], SlotColumn]:
    refused: dict[int, str] = {}
    give_up_at = time.monotonic() + _SEARCH_S
    for first in range(0, len(slots), BLOCK_ROWS):
        if time.monotonic() > give_up_at:
            return refused, slots[first:]
        block = slots[first : first + BLOCK_ROWS]
        rows = [
            (_id(table, slot), table.digests[slot].hex(), one.service_name, one.metric_name, dict(one.labels))
            for slot, one in ((slot, table.series[slot]) for slot in block.tolist())
        ]
        found = await insert_by_halves(connection, search, rows)
        refused |= {int(block[position]): message for position, message in found.items()}
    return refused, slots[:0]


async def _digests(connection: Connection, table: SeriesTable, slots: SlotColumn) -> dict[int, bytes]:
    rows = await connection.fetch(_KNOWN, table.ids(slots).tolist())
    return {row["id"]: row["digest"] for row in rows}


def _id(table: SeriesTable, slot: int) -> int:
    return int(table.ids(np.array([slot], np.int32))[0])
