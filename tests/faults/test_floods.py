"""Clients that mean no good beside an honest one: it hardly notices, and what they held is freed."""

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support.database import Database
from support.eventually import HANG_S
from support.flood import flood
from support.points import columns
from support.scrape import by_label, check_balance, scrape, value_of
from support.service import Client, ServiceProcess, client_of, service_process

MIB = 1024 * 1024
RSS_LIMIT = 640 * MIB
ROUNDS = 5
ROUND_S = 2.0
PACE_S = 0.005
FEWEST_CALLS = 100


@pytest.fixture
def core_apart() -> Iterator[set[int]]:
    """Yield a core that this process, and those it starts in the test, keep off, where there are others.

    Clients that mean no good run on other machines. On one core with a server they take its turns, which says nothing
    of the server.
    """
    cores = os.sched_getaffinity(0)
    theirs = {max(cores)}
    _run_on(cores - theirs or cores)
    yield theirs
    _run_on(cores)


def _run_on(cores: set[int]) -> None:
    for thread in psutil.Process().threads():
        with contextlib.suppress(ProcessLookupError):  # It has ended since.
            os.sched_setaffinity(thread.id, cores)


async def _honest_p99(client: Client, seconds: float) -> float:
    """Call at a steady pace and return the 99th percentile of the waits; every call must be taken."""
    request = columns(10).SerializeToString()
    waits: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        await client.write(request, metadata=[("x-ack", "buffered")], timeout_s=10)
        waits.append(time.perf_counter() - started)
        await asyncio.sleep(PACE_S)
    assert len(waits) >= FEWEST_CALLS
    return statistics.quantiles(waits, n=100)[98]


async def _until_gone(service: ServiceProcess, connections: int) -> None:
    process = psutil.Process(service.process.pid)
    async with asyncio.timeout(HANG_S):
        while process.num_fds() > connections:
            await asyncio.sleep(0.05)


@pytest.mark.alone
@pytest.mark.slow
async def test_idle_slow_and_pinging_clients_at_most_double_an_honest_ones_p99(
    core_apart: set[int], database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    quiet: list[float] = []
    flooded: list[float] = []
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        client_of(service.grpc_port) as client,
    ):
        process = psutil.Process(service.process.pid)
        await _honest_p99(client, 1.0)
        start, files, peak = process.memory_info().rss, process.num_fds(), 0
        for _ in range(ROUNDS):
            quiet.append(await _honest_p99(client, ROUND_S))
            async with flood(service.grpc_port, core_apart, idle=2_000, slow=200, pings=1) as seen:
                flooded.append(await _honest_p99(client, ROUND_S))
                peak = max(peak, process.memory_info().rss)
                assert process.num_fds() > 2_000
                samples = await scrape(service.http_port)
                check_balance(samples)
            assert seen["pings"]["closed"] > 0
            assert seen["slow"]["refused"] > 0
            await _until_gone(service, files + 5)
        end = process.memory_info().rss
    ratio = statistics.median(after / before for before, after in zip(quiet, flooded, strict=True))
    figures = [f"{1_000 * statistics.median(waits):.1f} ms" for waits in (quiet, flooded)]
    record_property(
        "figures", f"p99 {figures}, ratio {ratio:.2f}, RSS {start / MIB:.0f}, {peak / MIB:.0f}, {end / MIB:.0f} MiB"
    )
    assert set(by_label(samples, "ingestor_refused_total", "reason")) <= {"receive_too_slow", "too_much_in_flight"}
    assert value_of(samples, "ingestor_receiving_messages") <= value_of(samples, "ingestor_receiving_limit_messages")
    assert ratio <= 2.0
    assert peak <= RSS_LIMIT


@pytest.mark.alone
@pytest.mark.slow
async def test_silent_deaf_resetting_and_churning_clients_stop_nobody_and_are_freed(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        client_of(service.grpc_port) as client,
    ):
        process = psutil.Process(service.process.pid)
        quiet = await _honest_p99(client, 1.0)
        start, files = process.memory_info().rss, process.num_fds()
        async with flood(service.grpc_port, silent=50, deaf=10, resets=5, churn=50, headers=10) as seen:
            flooded = await _honest_p99(client, 5.0)
            async with client_of(service.grpc_port, [("grpc.use_local_subchannel_pool", 1)]) as newcomer:
                reply = await newcomer.write(columns(10).SerializeToString(), timeout_s=10)
            peak = process.memory_info().rss
            check_balance(await scrape(service.http_port))
        await _until_gone(service, files + 5)
    record_property(
        "figures",
        f"p99 {1_000 * quiet:.1f}, {1_000 * flooded:.1f} ms, RSS {start / MIB:.0f}, {peak / MIB:.0f} MiB, {seen}",
    )
    assert reply.accepted_points == 10
    assert seen["silent"]["refused"] > 0
    assert peak <= RSS_LIMIT
