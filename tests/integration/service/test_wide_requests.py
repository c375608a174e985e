"""Requests that touch more chunks than one flush may."""

import asyncio
import time

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.points import count_samples, fetch_value
from support.service import running_service

DAY_S = 86_400
DAYS = 40


def _wide(count: int, name: str) -> pb.WriteRequest:
    """Return points over more days than a flush may have chunks."""
    now = time.time_ns()
    step = DAYS * DAY_S * 10**9 // count
    series = [pb.Series(service_name="wide", metric_name=name)]
    times = [now - n * step for n in range(count)]
    return pb.WriteRequest(
        columns=[pb.Columns(series=series, series_index=[0] * count, time_unix_nano=times, value=[1.0] * count)]
    )


async def test_many_large_requests_over_many_chunks_are_all_stored(database: Database) -> None:
    settings = {"time_behind_s": 2.0 * DAYS * DAY_S, "batch_rows": 1_000}
    async with running_service(database.writer_url, **settings) as service:
        calls = (service.client.write(_wide(2_000, f"m{n}")) for n in range(4))
        replies = await asyncio.gather(*calls)
    assert [reply.accepted_points for reply in replies] == [2_000] * 4
    assert await count_samples(database.admin_url) == 8_000
    chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'samples'"
    assert DAYS <= int(str(await fetch_value(database.admin_url, chunks))) <= DAYS + 2
