"""Keep refused points for people, a bounded number of them a second; counts stay exact elsewhere."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import asyncpg

from ingestor.points import Reject
from ingestor.storage.by_halves import insert_by_halves, search_statement
from ingestor.storage.connection import Connection, describe
from ingestor.storage.sqlstate import SHORT_OF_ROOM, goes_on

logger = logging.getLogger(__name__)

ROWS_PER_S = 100
"""Rows kept per pod and reason in one second: a client gone wrong must not fill the disk."""

_INSERT = """
INSERT INTO {schema}.rejects (pod, reason, field, message, point)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
"""
_INSERT_BLOCK = """
INSERT INTO {schema}.rejects (pod, reason, field, message, point)
SELECT one->>0, one->>1, one->>2, one->>3, (one->>4)::jsonb FROM unnest(block) AS one
"""
_SEARCH = search_statement(_INSERT_BLOCK, to_blame=True, ends_at=SHORT_OF_ROOM)
_LAST_SEARCH = search_statement(_INSERT_BLOCK, to_blame=True)
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '100ms'"
"""Long enough to be told from a trigger that raises the same code."""


class RejectSampler:
    """Let ``ROWS_PER_S`` rejects of each reason pass in each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._passed: Counter[str] = Counter()

    @contextmanager
    def sample(self, rejects: Iterable[Reject]) -> Iterator[list[Reject]]:
        """Hand out those of ``rejects`` that are kept; if the block fails, they count for nothing."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._passed = second, Counter()
        kept = []
        for reject in rejects:
            if self._passed[reject.reason] < ROWS_PER_S:
                self._passed[reject.reason] += 1
                kept.append(reject)
        try:
            yield kept
        except BaseException:
            if second == self._second:
                self._passed.subtract(reject.reason for reject in kept)
            raise


async def keep_rejects(connection: Connection, pod: str, rejects: list[Reject], *, last_try: bool) -> None:
    """Write ``rejects`` in the transaction that is open, which goes on if the database refuses some of them.

    A database in LATIN1 has no way to write other scripts, so what it refuses is written again in ASCII, each for
    itself. What it refuses then is counted in the log; if the server itself is at fault, that is all of them. Only a
    server that is short of disk or memory has them wait with their points, until ``last_try``.

    Raises:
        asyncpg.PostgresError: the connection is lost, or the server is short of room.
    """
    await connection.execute("SAVEPOINT rejects")
    try:
        try:
            await _insert(connection, pod, rejects)
        except asyncpg.PostgresError as error:
            await _go_back(connection, error)
            await connection.execute(_LOCK_TIMEOUT)
            search = _LAST_SEARCH if last_try else _SEARCH
            if lost := await insert_by_halves(connection, search, [_in_ascii(pod, reject) for reject in rejects]):
                logger.warning("rejects not kept", extra={"rejects": len(lost), "error": next(iter(lost.values()))})
    except asyncpg.PostgresError as error:
        if error.sqlstate in SHORT_OF_ROOM and not last_try:
            raise
        await _go_back(connection, error)
        logger.warning("rejects not kept", extra={"rejects": len(rejects), "error": describe(error)})


async def _go_back(connection: Connection, error: asyncpg.PostgresError) -> None:
    if not goes_on(error):
        raise error
    await connection.execute("ROLLBACK TO SAVEPOINT rejects")


def _in_ascii(pod: str, reject: Reject) -> tuple[str, ...]:
    """Return the columns of a reject with character references, such as ``&#26481;``, for what ASCII lacks."""
    columns = (pod, reject.reason, reject.field, reject.message, reject.point)
    return tuple(column.encode("ascii", "xmlcharrefreplace").decode("ascii") for column in columns)


async def _insert(connection: Connection, pod: str, rejects: list[Reject]) -> None:
    await connection.execute(
        _INSERT,
        pod,
        [reject.reason for reject in rejects],
        [reject.field for reject in rejects],
        [reject.message for reject in rejects],
        [reject.point for reject in rejects],
    )
