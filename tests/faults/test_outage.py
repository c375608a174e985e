"""The database goes away under load: callers are told when to come back, memory stays bounded, nothing is lost."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import grpc
import psutil
import pytest

from support.database import PrivateServer
from support.eventually import HANG_S
from support.load import Told, load
from support.points import columns, count_samples, fetch_value
from support.scrape import check_balance, scrape, value_of
from support.service import ServiceProcess, http_status, service_process

MIB = 1024 * 1024
OUTAGE_S = 60.0
RESUME_S = 2.0
RSS_LIMIT = 300 * MIB
IN_FLIGHT = 64
POINTS_PER_REQUEST = 50_000
"""About 1 MiB a message: 64 of them are the 64 MiB that the memory bound is stated for."""


@pytest.mark.alone
@pytest.mark.slow
async def test_a_minute_without_database_under_load(
    private_server: PrivateServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database = private_server.database
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        load(service.grpc_port, lambda: columns(POINTS_PER_REQUEST), in_flight=IN_FLIGHT) as told,
    ):
        await _until_acked(told, 20 * POINTS_PER_REQUEST)
        await private_server.server.stop()
        told.errors.clear()
        peak = await _watch(service, OUTAGE_S)
        refused = dict(told.errors)
        held_before = value_of(await scrape(service.http_port), "ingestor_points_held")
        commits_before = value_of(await scrape(service.http_port), "ingestor_last_commit_timestamp_seconds")
        await private_server.server.start()
        resumed_s = await _until_commit(service, commits_before)
        await _until_acked(told, told.acked_points + 20 * POINTS_PER_REQUEST)
        peak = max(peak, await _watch(service, 1.0))
    record_property(
        "figures", f"{refused}, held {held_before:,.0f}, RSS {peak / MIB:.0f} MiB, resumed {resumed_s:.2f} s"
    )
    assert refused
    assert {(code, advised) for code, _, advised in refused} == {(grpc.StatusCode.UNAVAILABLE, True)}
    assert held_before > 0
    assert peak <= RSS_LIMIT
    assert resumed_s <= RESUME_S
    assert int(str(await count_samples(database.admin_url))) >= told.acked_points
    keys = await fetch_value(database.admin_url, "SELECT sum(accepted) FROM analytics.ledger")
    assert keys == await count_samples(database.admin_url)


async def test_sigterm_under_load_answers_what_is_in_flight_and_stores_every_acked_point(
    private_server: PrivateServer, tmp_path: Path
) -> None:
    database = private_server.database
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        load(service.grpc_port, lambda: columns(1_000), in_flight=32) as told,
    ):
        await _until_acked(told, 50_000)
        code = await service.terminate()
    assert code == 0
    assert (tmp_path / "log").read_text().count('"stopped"') == 1
    assert set(told.errors) <= {
        (grpc.StatusCode.UNAVAILABLE, "DRAINING", True),
        (grpc.StatusCode.UNAVAILABLE, "", False),  # the listener is closed, or the connection ended
        (grpc.StatusCode.CANCELLED, "", False),  # gRPC's own, documented: clients retry it
    }
    assert int(str(await count_samples(database.admin_url))) >= told.acked_points


async def test_sigterm_without_database_refuses_waiting_callers_at_once_and_exits_cleanly(
    private_server: PrivateServer, tmp_path: Path
) -> None:
    async with (
        service_process(private_server.database.writer_url, tmp_path / "log") as service,
        load(service.grpc_port, lambda: columns(1_000), in_flight=8) as told,
    ):
        await _until_acked(told, 10_000)
        await private_server.server.stop()
        await _until_held(service)
        told.errors.clear()
        code = await service.terminate()
    assert code == 0
    assert told.errors[grpc.StatusCode.UNAVAILABLE, "DRAINING", True] > 0


async def test_sigterm_without_database_gives_buffered_points_up_in_time_and_says_so(
    private_server: PrivateServer, tmp_path: Path
) -> None:
    settings = {"ack": "buffered", "shutdown_grace_s": 8}
    async with service_process(private_server.database.writer_url, tmp_path / "log", **settings) as service:
        await private_server.server.stop()
        async with load(service.grpc_port, lambda: columns(1_000), in_flight=4) as told:
            await _until_acked(told, 4_000)
        code = await service.terminate()
    assert code == 3
    given_up = re.search(r'"buffered points given up", "points": (\d+)', (tmp_path / "log").read_text())
    assert given_up
    assert int(given_up.group(1)) >= told.acked_points


async def test_buffered_points_are_stored_once_the_database_is_back(
    private_server: PrivateServer, tmp_path: Path
) -> None:
    database = private_server.database
    async with service_process(database.writer_url, tmp_path / "log", ack="buffered") as service:
        await private_server.server.stop()
        async with load(service.grpc_port, lambda: columns(1_000), in_flight=4, keyed=False) as told:
            await _until_acked(told, 20_000)
        await private_server.server.start()
        assert await service.terminate() == 0
    assert int(str(await count_samples(database.admin_url))) >= told.acked_points


async def test_a_killed_database_costs_no_acked_point(private_server: PrivateServer, tmp_path: Path) -> None:
    database = private_server.database
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        load(service.grpc_port, lambda: columns(1_000), in_flight=16) as told,
    ):
        for _ in range(2):
            await _until_acked(told, told.acked_points + 20_000)
            await private_server.server.kill()
            await private_server.server.start()
        await _until_acked(told, told.acked_points + 20_000)
        check_balance(await scrape(service.http_port))
        assert await service.terminate() == 0
    stored = await count_samples(database.admin_url)
    assert int(str(stored)) >= told.acked_points
    assert stored == await fetch_value(database.admin_url, "SELECT sum(accepted) FROM analytics.ledger")


async def test_a_server_starts_without_database_and_is_ready(private_server: PrivateServer, tmp_path: Path) -> None:
    await private_server.server.stop()
    async with service_process(private_server.database.writer_url, tmp_path / "log") as service:
        assert await http_status(service.http_port, "/readyz") == 200
        assert await http_status(service.http_port, "/livez") == 200
        assert value_of(await scrape(service.http_port), "ingestor_database_up") == 0
        await private_server.server.start()
        async with load(service.grpc_port, lambda: columns(10), in_flight=1) as told:
            await _until_acked(told, 10)
        assert value_of(await scrape(service.http_port), "ingestor_database_up") == 1


async def _until_acked(told: Told, points: int) -> None:
    async with asyncio.timeout(HANG_S):
        while told.acked_points < points:
            await asyncio.sleep(0.02)


async def _until_held(service: ServiceProcess) -> None:
    async with asyncio.timeout(HANG_S):
        while not value_of(await scrape(service.http_port), "ingestor_points_held"):
            await asyncio.sleep(0.02)


async def _until_commit(service: ServiceProcess, before: float) -> float:
    """Return how long it takes until a commit, in seconds."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(HANG_S):
        while value_of(await scrape(service.http_port), "ingestor_last_commit_timestamp_seconds") == before:
            await asyncio.sleep(0.02)
    return loop.time() - started


async def _watch(service: ServiceProcess, seconds: float) -> int:
    """Scrape for so long, check the accounts each time, and return the largest memory seen, in bytes."""
    process = psutil.Process(service.process.pid)
    loop = asyncio.get_running_loop()
    end, peak = loop.time() + seconds, 0
    while loop.time() < end:
        check_balance(await scrape(service.http_port))
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.1)
    return peak
