"""Compare what was acked with what is stored, point by point."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import numpy as np

from faults.storm.requests import SERIES, StormData

_STORED = """
SELECT value, (extract(epoch FROM time) * 1000000)::bigint, metric_name FROM analytics.metrics
WHERE service_name = $1
"""
_LEDGER = "SELECT (SELECT coalesce(sum(accepted), 0) FROM analytics.ledger), (SELECT count(*) FROM analytics.samples)"
_QUERY_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Points by what the comparison found; ``unacked`` are stored without an ack that came through, which is right."""

    stored: int
    lost: int
    doubled: int
    foreign: int
    unacked: int
    ledger_difference: int


async def judge(admin_url: str, data: StormData, acked: np.ndarray[Any, np.dtype[np.bool_]]) -> Verdict:
    """Return the verdict on one storm; ``acked`` says of each point's number whether its ack came through."""
    connection = await asyncpg.connect(admin_url, command_timeout=_QUERY_TIMEOUT_S)
    try:
        rows = await connection.fetch(_STORED, data.service_name)
        totals = await connection.fetchrow(_LEDGER)
    finally:
        await connection.close()
    assert totals is not None
    numbers = np.array([row[0] for row in rows], np.float64)
    times_us = np.array([row[1] for row in rows], np.int64)
    metrics = np.array([int(row[2][1:]) for row in rows], np.int64)
    whole = numbers.astype(np.int64)
    ours = (whole == numbers) & (whole >= 0) & (whole < len(acked))
    ours &= (data.times_us(whole) == times_us) & (whole % SERIES == metrics)
    times_stored = np.bincount(whole[ours], minlength=len(acked))
    return Verdict(
        stored=len(rows),
        lost=int((acked & (times_stored == 0)).sum()),
        doubled=int((times_stored > 1).sum()),
        foreign=int((~ours).sum()),
        unacked=int((~acked & (times_stored > 0)).sum()),
        ledger_difference=int(totals[0]) - int(totals[1]),
    )
