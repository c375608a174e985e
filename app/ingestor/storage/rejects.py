"""Keep refused points for people, a bounded number of them a second; counts stay exact elsewhere."""

import logging
import time
from collections.abc import Callable, Iterable

import asyncpg

from ingestor.points import Reject
from ingestor.storage.by_halves import insert_by_halves, search_statement
from ingestor.storage.connection import Connection, describe
from ingestor.storage.sqlstate import goes_on

logger = logging.getLogger(__name__)

ROWS_PER_S = 100
"""Rows kept per pod and reason in one second: a client gone wrong must not fill the disk."""

_INSERT = """
INSERT INTO {schema}.rejects (pod, reason, field, message, point)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
"""
_SEARCH = search_statement(
    """
INSERT INTO {schema}.rejects (pod, reason, field, message, point)
SELECT one->>0, one->>1, one->>2, one->>3, (one->>4)::jsonb FROM unnest(block) AS one
""",
    to_blame=True,
)
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '100ms'"
"""Long enough to be told from a trigger that raises the same code."""


class RejectSampler:
    """Let ``ROWS_PER_S`` rejects of each reason pass in each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._passed: dict[str, int] = {}

    def sample(self, rejects: Iterable[Reject]) -> list[Reject]:
        """Return those of ``rejects`` that are kept."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._passed = second, {}
        kept = []
        for reject in rejects:
            passed = self._passed.get(reject.reason, 0)
            if passed < ROWS_PER_S:
                self._passed[reject.reason] = passed + 1
                kept.append(reject)
        return kept


async def keep_rejects(connection: Connection, pod: str, rejects: list[Reject]) -> None:
    """Write ``rejects`` in the transaction that is open, which goes on if the database refuses some of them.

    A database in LATIN1 has no way to write other scripts, so what it refuses is written again in ASCII, each for
    itself. What it refuses then is counted in the log; if the server itself is at fault, that is all of them.

    Raises:
        asyncpg.PostgresError: the connection is lost.
    """
    await connection.execute("SAVEPOINT rejects")
    try:
        try:
            await _insert(connection, pod, rejects)
        except asyncpg.PostgresError as error:
            await _go_back(connection, error)
            await connection.execute(_LOCK_TIMEOUT)
            if lost := await insert_by_halves(connection, _SEARCH, [_in_ascii(pod, reject) for reject in rejects]):
                logger.warning("rejects not kept", extra={"rejects": len(lost), "error": next(iter(lost.values()))})
    except asyncpg.PostgresError as error:
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
