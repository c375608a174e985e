"""Points of a chunk that somebody has locked wait by themselves; all others are stored as fast as ever."""

import asyncio
import statistics
import time
from collections.abc import Callable

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.obstacles import chunk_of, locked
from support.points import count_samples, rows
from support.scrape import check_balance, points_held, scrape, until_nothing_is_held
from support.service import Service, error_reason, running_service

DAY_NS = 86_400 * 1_000_000_000
LIVE, PAUSE_S = 300, 0.05


def _late(number: int, ack: pb.Ack = pb.ACK_COMMITTED) -> pb.WriteRequest:
    at_ns = time.time_ns() - 3 * DAY_NS
    point = pb.Point(service_name="s", metric_name="late", double_value=float(number), time_unix_nano=at_ns)
    return pb.WriteRequest(points=[point], ack=ack)


async def _live(service: Service, took: list[float]) -> None:
    """Write now and again, and note how long each call took."""
    for _ in range(LIVE):
        started = time.perf_counter()
        assert (await service.client.write(rows([1.0, 2.0], name="live"))).accepted_points == 2
        took.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_S)


async def _live_and_late(service: Service, took: list[float]) -> int:
    """Do the same while two late points a second come in; return how many of them wait."""
    late = 0
    live = asyncio.create_task(_live(service, took))
    while not live.done():
        await service.client.write(_late(1, pb.ACK_BUFFERED))
        late += 1
        await asyncio.wait([live], timeout=0.5)
    await live
    return late


def _p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


@pytest.mark.alone
async def test_live_points_do_not_wait_for_a_locked_chunk(
    database: Database, record_property: Callable[[str, object], None]
) -> None:
    calm: list[float] = []
    behind_lock: list[float] = []
    async with running_service(database.writer_url, connections=1) as service:
        await service.client.write(_late(0))
        chunk = await chunk_of(database, "now() - interval '3 days'")
        await _live(service, calm)
        async with locked(database, chunk):
            late = await _live_and_late(service, behind_lock)
            assert await points_held(service.http_port) == late
        await until_nothing_is_held(service.http_port)
        check_balance(await scrape(service.http_port))
    assert await count_samples(database.admin_url) == 1 + late + 4 * LIVE
    ratios = (statistics.median(behind_lock) / statistics.median(calm), _p99(behind_lock) / _p99(calm))
    record_property("figures", f"p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f} of that without a lock")
    assert max(ratios) <= 1.5


async def test_what_waits_for_a_lock_is_bounded_and_the_rest_told_to_come_back(database: Database) -> None:
    size = 4_000
    at_ns = time.time_ns() - 3 * DAY_NS
    late = pb.WriteRequest(
        ack=pb.ACK_BUFFERED,
        points=[pb.Point(service_name="s", metric_name="late", double_value=1.0, time_unix_nano=at_ns)] * size,
    )
    async with running_service(database.writer_url, connections=1, buffer_bytes=2**20) as service:
        await service.client.write(_late(0))
        async with locked(database, await chunk_of(database, "now() - interval '3 days'")):
            taken = 0
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                while True:
                    await service.client.write(late)
                    taken += 1
                    await asyncio.sleep(0.3)
            assert (refused.value.code(), error_reason(refused.value)) == (
                grpc.StatusCode.UNAVAILABLE,
                "CHUNK_LOCKED",
            )
            assert (await service.client.write(rows([1.0]))).accepted_points == 1
        await until_nothing_is_held(service.http_port)
    assert taken > 0
    assert await count_samples(database.admin_url) == 2 + taken * size
