"""The ledger of idempotency keys: what makes a repeat count once, whichever pod gets it.

A key is written in the transaction that stores its points. Keys older than the floor are refused; keys are deleted
only below the floor taken ``EXPIRY_MARGIN_MIN`` further back, and every flush is shorter than that, so a deletion
never races a retry. The floor counts minutes in which the database was up: an outage leaves no beats.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ingestor.keys import first_key
from ingestor.storage.connection import Connection

EXPIRY_MARGIN_MIN = 5
_DELETED_AT_ONCE = 5_000

_FLOOR = "SELECT at FROM {schema}.ledger_beat ORDER BY at DESC OFFSET $1 LIMIT 1"
_CLAIM = """
INSERT INTO {schema}.ledger (key, digest, accepted, rejected)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[]) ORDER BY 1
ON CONFLICT (key) DO NOTHING RETURNING key
"""
_ENTRIES = "SELECT key, digest, accepted, rejected FROM {schema}.ledger WHERE key = ANY($1::uuid[])"
_DELETE = "DELETE FROM {schema}.ledger WHERE key = ANY($1::uuid[])"
_BEAT = "INSERT INTO {schema}.ledger_beat (at) VALUES (date_trunc('minute', now())) ON CONFLICT (at) DO NOTHING"
# By key order: after a bulk load the planner chose a sequential scan for a plain range.
_EXPIRE = """
DELETE FROM {schema}.ledger
WHERE key IN (SELECT key FROM {schema}.ledger WHERE key < $1 ORDER BY key LIMIT $2)
"""
_MAX_STUCK = 5
"""Keys for which one flush waits; from there on it takes every further one for stuck: the table may be locked."""
_ONE_KEY_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '20ms'"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger: a key, the digest of its points, and what became of them."""

    key: uuid.UUID
    digest: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What the ledger says of the keys of a flush.

    ``present`` are keys committed before; ``stuck`` are being stored by another flush that has not ended.
    """

    present: dict[uuid.UUID, Entry]
    stuck: frozenset[uuid.UUID]


async def read_floor(connection: Connection, window_min: int) -> datetime | None:
    """Return the time below which keys are refused, None where nothing expires yet."""
    floor: datetime | None = await connection.fetchval(_FLOOR, window_min)
    return floor


class Floor:
    """The floor as one connection saw it of late: it moves once a minute, and reading it costs a round trip.

    So a key may be refused ``KEPT_S`` late; its ledger row is kept for longer than that, see ``EXPIRY_MARGIN_MIN``.
    """

    KEPT_S = 15.0

    def __init__(self, window_min: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_min = window_min
        self._clock = clock
        self._at: datetime | None = None
        self._read_at = float("-inf")

    async def read(self, connection: Connection) -> datetime | None:
        """Return the time below which keys are refused, None where nothing expires yet."""
        now = self._clock()
        if now - self._read_at > self.KEPT_S:
            self._at, self._read_at = await read_floor(connection, self._window_min), now
        return self._at


async def claim_keys(connection: Connection, entries: Sequence[Entry]) -> Claims:
    """Write ``entries`` for keys that are new and return what the ledger has for the others.

    Waits for a twin in flight elsewhere.

    Raises:
        asyncpg.LockNotAvailableError: a twin took too long; ``claim_keys_singly`` tells which.
    """
    claimed = {row["key"] for row in await connection.fetch(_CLAIM, *_columns(entries))}
    others = [entry.key for entry in entries if entry.key not in claimed]
    if not others:
        return Claims({}, frozenset())
    present = await find_entries(connection, others)
    # A key neither claimed nor visible was deleted in between; only keys far below the floor are.
    return Claims(present, frozenset(key for key in others if key not in present))


async def find_entries(connection: Connection, keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, Entry]:
    """Return what the ledger has for ``keys``."""
    return {row["key"]: Entry(**row) for row in await connection.fetch(_ENTRIES, keys)}


async def claim_keys_singly(connection: Connection, entries: Sequence[Entry]) -> Claims:
    """Do the same key by key and name those whose twin is still in flight, so that the others need not wait."""
    present: dict[uuid.UUID, Entry] = {}
    stuck: set[uuid.UUID] = set()
    usual = await connection.fetchval("SHOW lock_timeout")
    await connection.execute(_ONE_KEY_LOCK_TIMEOUT)
    for entry in sorted(entries, key=lambda entry: entry.key):
        if len(stuck) >= _MAX_STUCK:
            stuck.add(entry.key)
            continue
        await connection.execute("SAVEPOINT one_key")
        try:
            claims = await claim_keys(connection, [entry])
        except asyncpg.LockNotAvailableError:
            await connection.execute("ROLLBACK TO SAVEPOINT one_key")
            stuck.add(entry.key)
        else:
            present |= claims.present
            stuck |= claims.stuck
        await connection.execute("RELEASE SAVEPOINT one_key")
    await connection.execute(f"SET LOCAL lock_timeout = '{usual}'")
    return Claims(present, frozenset(stuck))


async def correct_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Replace the counts of keys claimed in this transaction (the writer role may not UPDATE)."""
    await connection.execute(_DELETE, [entry.key for entry in entries])
    await connection.fetch(_CLAIM, *_columns(entries))


async def beat(connection: Connection) -> None:
    """Note that the database is up in this minute."""
    await connection.execute(_BEAT)


async def expire_keys(connection: Connection, window_min: int) -> int:
    """Delete the oldest keys that no retry can bring any more, a few thousand at most; return how many."""
    floor = await read_floor(connection, window_min + EXPIRY_MARGIN_MIN)
    if floor is None:
        return 0
    status = await connection.execute(_EXPIRE, first_key(int(floor.timestamp() * 1000)), _DELETED_AT_ONCE)
    return int(status.split()[-1])


def _columns(entries: Sequence[Entry]) -> tuple[list[uuid.UUID], list[int], list[int], list[int]]:
    return (
        [entry.key for entry in entries],
        [entry.digest for entry in entries],
        [entry.accepted for entry in entries],
        [entry.rejected for entry in entries],
    )
