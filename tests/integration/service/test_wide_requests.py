"""Requests that touch more chunks than one flush may."""

import asyncio
import time

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.points import count_samples, fetch_value, rows
from support.scrape import by_label, check_balance, scrape
from support.service import error_reason, running_service

DAY_S = 86_400
DAYS = 40


def _wide(count: int, name: str, days: int = DAYS) -> pb.WriteRequest:
    """Return points over more days than a flush may have chunks."""
    now = time.time_ns()
    step = days * DAY_S * 10**9 // count
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


@pytest.mark.parametrize("ack", [pb.ACK_COMMITTED, pb.ACK_BUFFERED])
async def test_a_request_of_more_chunks_than_a_transaction_can_make_is_refused_at_once(
    database: Database, ack: pb.Ack
) -> None:
    request = _wide(2_000, "wide", days=2_000)
    request.ack = ack
    async with running_service(database.writer_url, time_behind_s=4_000.0 * DAY_S) as service:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.client.write(request)
        assert (refused.value.code(), error_reason(refused.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_WIDE")
        assert (await service.client.write(rows([1.0]))).accepted_points == 1
        samples = await scrape(service.http_port)
        check_balance(samples)
        assert by_label(samples, "ingestor_points_rejected_total", "reason") == {"too_wide": 2_000}
    assert await count_samples(database.admin_url) == 1
