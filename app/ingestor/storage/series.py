"""Make sure that the database has a batch's series before its rows go in.

Outside the flush's transaction: inside it, new series made other flushes wait for the whole COPY, and two sorted
inserts in one transaction deadlocked (both measured).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ingestor.points import SeriesTable, SlotColumn
from ingestor.storage.connection import Connection, transaction

_KNOWN = "SELECT id, digest FROM {schema}.series WHERE id = ANY($1::bigint[])"
_INSERT = """
INSERT INTO {schema}.series (id, digest, service_name, metric_name, labels)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::jsonb[]) ORDER BY 1
ON CONFLICT (id) DO NOTHING
"""


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
    """Slots whose rows can't be stored: ids that belong to other series, and new series over the limit."""

    collided: SlotColumn
    over_limit: SlotColumn


async def register_series(
    connection: Connection, table: SeriesTable, slots: SlotColumn, epoch: int, limit: NewSeriesLimit
) -> Unregistered:
    """Insert the series of ``slots`` (distinct) that the database lacks, and remember those it has.

    One sorted INSERT, then a second statement that compares digests: a single statement would not see a twin that
    commits meanwhile. A collision of ids is never merged.
    """
    async with transaction(connection):
        known = await _digests(connection, table, slots)
        ids = table.ids(slots)
        new = slots[[series_id not in known for series_id in ids.tolist()]]
        allowed, over_limit = np.split(new, [limit.take(len(new))])
        if len(allowed):
            series = [table.series[slot] for slot in allowed]
            await connection.execute(
                _INSERT,
                table.ids(allowed).tolist(),
                [table.digests[slot] for slot in allowed],
                [one.service_name for one in series],
                [one.metric_name for one in series],
                [one.labels_json() for one in series],
            )
            known |= await _digests(connection, table, allowed)
    refused = set(over_limit.tolist())
    collided = [
        slot for slot in slots.tolist() if slot not in refused and known.get(_id(table, slot)) != table.digests[slot]
    ]
    stored = slots[~np.isin(slots, [*collided, *refused])]
    table.mark_stored(stored, epoch)
    return Unregistered(np.array(collided, np.int32), over_limit)


async def _digests(connection: Connection, table: SeriesTable, slots: SlotColumn) -> dict[int, bytes]:
    rows = await connection.fetch(_KNOWN, table.ids(slots).tolist())
    return {row["id"]: row["digest"] for row in rows}


def _id(table: SeriesTable, slot: int) -> int:
    return int(table.ids(np.array([slot], np.int32))[0])
