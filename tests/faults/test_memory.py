"""Memory stays bounded whatever clients send at once, is given back afterwards, and does not grow with time."""

import asyncio
import contextlib
import statistics
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from support.database import Database, PrivateServer
from support.eventually import HANG_S
from support.flood import flood
from support.load import load
from support.points import columns
from support.raw_http2 import RawConnection, raw_connection
from support.scrape import by_label, check_balance, scrape
from support.service import ServiceProcess, service_process

MIB = 1024 * 1024
RSS_LIMIT = 640 * MIB
GIVEN_BACK = 96 * MIB
"""What a server may hold more than at its start once a flood is over: its caches of series, and what is not trimmed."""
FLOOD_S = 8.0
SOAK_S = 20.0
CALLS = 16
HUGE = 1024 * MIB
BOMB = 256 * MIB
GROWTH = 8 * MIB


def _rss(service: ServiceProcess) -> int:
    return int(psutil.Process(service.process.pid).memory_info().rss)


async def _watch(service: ServiceProcess, seconds: float) -> list[int]:
    """Check the accounts for so long and return the memory seen, in bytes."""
    loop = asyncio.get_running_loop()
    end, seen = loop.time() + seconds, []
    while loop.time() < end:
        seen.append(_rss(service))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                check_balance(await scrape(service.http_port))
        await asyncio.sleep(0.05)
    return seen


async def _until_below(service: ServiceProcess, size_bytes: int) -> None:
    async with asyncio.timeout(HANG_S):
        while _rss(service) > size_bytes:
            await asyncio.sleep(0.1)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "away"),
    [("padded", False), ("doubled", False), ("large", True)],
    ids=["database up", "two messages a call", "database away"],
)
async def test_64_connections_that_send_all_they_may_are_held_off_and_leave_nothing_behind(
    private_server: PrivateServer, tmp_path: Path, record_property: Callable[[str, object], None], kind: str, away: bool
) -> None:
    async with service_process(private_server.database.writer_url, tmp_path / "log") as service:
        start = _rss(service)
        if away:
            await private_server.server.stop()
        async with flood(service.grpc_port, None, **{kind: 64}) as seen:
            peak = max(await _watch(service, FLOOD_S))
        if away:
            await private_server.server.start()
        await _until_below(service, start + GIVEN_BACK)
        check_balance(await scrape(service.http_port))
        after = _rss(service)
    record_property("figures", f"RSS {start / MIB:.0f}, {peak / MIB:.0f}, {after / MIB:.0f} MiB; {seen}")
    assert sum(seen[kind].get(end, 0) for end in ("taken", "refused")) > 100
    assert peak <= RSS_LIMIT


@pytest.mark.alone
@pytest.mark.slow
async def test_memory_does_not_grow_under_a_mixed_load_with_refusals(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = {"points_per_s": 300_000, "buffer_bytes": 4 * MIB}
    async with (
        service_process(database.writer_url, tmp_path / "log", **settings) as service,
        load(service.grpc_port, lambda: columns(5_000), in_flight=24),
        load(service.grpc_port, lambda: columns(10), in_flight=8, keyed=False),
        flood(service.grpc_port, slow=20, resets=2, churn=10),
    ):
        await _watch(service, SOAK_S / 2)
        seen = await _watch(service, SOAK_S)
        refused = by_label(await scrape(service.http_port), "ingestor_refused_total", "reason")
    third = len(seen) // 3
    growth = statistics.median(seen[-third:]) - statistics.median(seen[:third])
    record_property("figures", f"RSS {statistics.median(seen) / MIB:.0f} MiB, {growth / MIB:+.1f} MiB; {refused}")
    assert {"points_limit", "receive_too_slow"} & set(refused)
    assert growth <= GROWTH


def _declared() -> bytes:
    """Return the beginning of a message that says that it has 1 GiB, more than a server should take of it."""
    return b"\0" + HUGE.to_bytes(4, "big") + bytes(16 * MIB)


def _bomb() -> bytes:
    """Return a message of 256 kB that unpacks to 256 MiB."""
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(BOMB // MIB)) + packer.flush()
    return b"\1" + len(packed).to_bytes(4, "big") + packed


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("make", "coding"), [(_declared, "identity"), (_bomb, "gzip")], ids=["declared", "bomb"])
async def test_messages_that_claim_or_unpack_to_far_more_than_is_allowed_are_refused_in_little_memory(
    database: Database,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    make: Callable[[], bytes],
    coding: str,
) -> None:
    message = make()

    async def call(connection: RawConnection) -> str:
        number = await connection.call(metadata=[("grpc-encoding", coding)])
        await connection.send_message(number, memoryview(message))
        await connection.streams[number].ended.wait()
        return connection.streams[number].headers()[-1]["grpc-status"]

    async with service_process(database.writer_url, tmp_path / "log") as service:
        start = _rss(service)
        watching = asyncio.create_task(_watch(service, FLOOD_S))
        async with raw_connection(service.grpc_port) as connection, asyncio.timeout(FLOOD_S):
            told = await asyncio.gather(*(call(connection) for _ in range(CALLS)))
        peak = max(await watching)
    record_property("figures", f"RSS {start / MIB:.0f}, {peak / MIB:.0f} MiB; {told}")
    assert set(told) <= {"8", "14"}
    assert peak <= start + GIVEN_BACK
