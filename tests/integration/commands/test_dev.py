"""``ingestor dev``, what ``make run`` runs: serves, shows, streams, stops; a second run has the first one's rows."""

import asyncio
import os
import re
import signal
import sys
import time

import asyncpg
import psutil
import pytest

from support.database import Database
from support.eventually import HANG_S, eventually

BURST = 20_000


async def test_it_stores_a_burst_and_real_metrics_and_ctrl_c_exits_cleanly_sooner_than_it_came(
    database: Database,
) -> None:
    first = await _run(database)
    assert "Serving gRPC on 127.0.0.1:" in first
    assert f"psql '{database.admin_url}'" in first
    assert re.search(r"points acked +│ +20,000", first)
    assert "ack p99" in first
    assert "newest rows of analytics.metrics" in first
    assert "Streaming this machine's metrics" in first
    services = await _fetch(database, "SELECT array_agg(DISTINCT service_name) FROM analytics.series")
    assert isinstance(services, list)
    assert len(services) == 2
    before = await _fetch(database, "SELECT count(*) FROM analytics.samples")
    assert isinstance(before, int)
    await _run(database)
    after = await _fetch(database, "SELECT count(*) FROM analytics.samples")
    assert isinstance(after, int)
    assert after >= before + BURST


async def _run(database: Database) -> str:
    """Run it until metrics of this machine are stored, press Ctrl-C, and return what it printed."""
    stored = "SELECT count(*) FROM analytics.metrics WHERE service_name <> 'synthetic' AND time > $1"
    started = await _fetch(database, "SELECT now()")
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ingestor",
        "dev",
        "--burst",
        str(BURST),
        "--interval",
        "0.2",
        env=os.environ
        | {"INGESTOR_DATABASE_URL": database.admin_url, "INGESTOR_GRPC_PORT": "0", "INGESTOR_HTTP_PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    reading = asyncio.create_task(process.stdout.read())  # type: ignore[union-attr]
    try:
        async with asyncio.timeout(HANG_S):
            while not await _fetch(database, stored, started):
                assert process.returncode is None, (await reading).decode()
                await asyncio.sleep(0.1)
        interrupted_s = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        code = await asyncio.wait_for(process.wait(), HANG_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert code == 0
    assert time.monotonic() - interrupted_s < interrupted_s - began_s
    output: bytes = await reading
    return output.decode()


async def _fetch(database: Database, query: str, *arguments: object) -> object:
    connection = await asyncpg.connect(database.admin_url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


@pytest.mark.alone
async def test_its_load_generator_ends_with_it_even_if_it_is_killed(database: Database) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ingestor", "dev", "--burst", "0"),
        env=os.environ
        | {"INGESTOR_DATABASE_URL": database.admin_url, "INGESTOR_GRPC_PORT": "0", "INGESTOR_HTTP_PORT": "0"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: bool(_loads_of(process.pid)))
        (load,) = _loads_of(process.pid)
    finally:
        process.kill()
        await process.wait()
    await eventually(lambda: not load.is_running())


def _loads_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "--machine" in child.cmdline()]
