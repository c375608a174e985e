"""Keep refused points for people, a bounded number of them a second; counts stay exact elsewhere."""

import time
from collections.abc import Callable, Iterable

from ingestor.points import Reject
from ingestor.storage.connection import Connection

ROWS_PER_S = 100
"""Rows kept per pod and reason in one second: a client gone wrong must not fill the disk."""

_INSERT = """
INSERT INTO {schema}.rejects (pod, reason, field, message, point)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
"""


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


async def insert_rejects(connection: Connection, pod: str, rejects: list[Reject]) -> None:
    """Write ``rejects`` in the transaction that is open."""
    await connection.execute(
        _INSERT,
        pod,
        [reject.reason for reject in rejects],
        [reject.field for reject in rejects],
        [reject.message for reject in rejects],
        [reject.point for reject in rejects],
    )
