"""How fast Grafana's questions are answered from 12 million points while more come in.

The database has the settings that timescaledb-tune gives a machine of this size, as TimescaleDB's image does at its
first start. The points come through a server, and a vacuum follows as autovacuum would do. Each answer is compared with
a scan that the test writes by hand, in the same minute, for machines differ by a factor of three.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from ingestor.load.options import LoadOptions
from ingestor.load.runner import run_load
from support.database import PrivateServer, execute
from support.service import ServiceProcess, service_process

pytestmark = [pytest.mark.alone, pytest.mark.slow]

POINTS = 12_000_000
SERIES = 5_000
"""With a point each 10 s: more than six hours. docs/queries.md has what 30 million points of 10,000 series took."""
RATE = 5_000
"""Points/s that come in meanwhile: ten times what the series are."""

MOST = {"newest": 0.01, "six hours": 1.6, "buckets": 0.75, "rate": 0.95}
"""Of what ``BY_HAND`` takes at the same time: half as much again as measured, 0.003, 1.14, 0.50 and 0.63 of 0.5 s."""
NEWEST = (
    "SELECT time, value FROM metrics WHERE service_name = 'synthetic' AND metric_name = 'synthetic.walk.3'"
    " AND labels @> $1 AND time > now() - interval '1 hour' ORDER BY time DESC LIMIT 1"
)
SIX_HOURS = (
    "SELECT time_bucket('5 minutes', time), avg(value), max(value), count(*) FROM metrics"
    " WHERE service_name = 'synthetic' AND metric_name = $1 AND time > now() - interval '6 hours' GROUP BY 1 ORDER BY 1"
)
IDS = "SELECT array_agg(id) FROM series WHERE service_name = 'synthetic' AND metric_name = 'synthetic.walk.3'"
BY_HAND = (
    "SELECT time_bucket('5 minutes', time), avg(value), max(value), count(*) FROM samples"
    " WHERE series_id = ANY ($1) AND time > now() - interval '6 hours' GROUP BY 1 ORDER BY 1"
)
"""The same from the table itself, for the series of a metric: what the machine needs for as many points."""
EACH_SERIES = (
    "SELECT * FROM {}('synthetic', $1, now() - interval '6 hours', now(), '5 minutes', '{{\"region\": \"eu-west-1\"}}')"
)
"""Of a fifth of the metric's series, each by itself."""


async def _tune(server: PrivateServer) -> None:
    memory = psutil.virtual_memory().total
    settings = {
        "shared_buffers": f"{memory // 4 >> 20}MB",
        "effective_cache_size": f"{memory * 3 // 4 >> 20}MB",
        "work_mem": f"{memory // 4 // 100 // (psutil.cpu_count() or 1) >> 20}MB",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "256",
    }
    statements = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()]
    await execute(server.database.admin_url, *statements)
    await server.server.stop()
    await server.server.start()


@asynccontextmanager
async def _more_points(service: ServiceProcess) -> AsyncIterator[None]:
    """Let more points come in until the body ends, from a process of its own; all that it sends must be taken."""
    command = [sys.executable, "-m", "ingestor", "load", "--json", "--target", f"127.0.0.1:{service.grpc_port}"]
    command += ["--rate", str(RATE), "--points", str(RATE * 600), "--series", str(SERIES), "--batch", "1000"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield
        assert process.returncode is None
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (report,) = json.loads(output)["phases"]
    assert report["points_acked"] > RATE
    assert report["points_given_up"] == report["points_refused"] == report["points_rejected"] == 0


async def _ratios(connection: Any, query: str, arguments: list[str], least_rows: int) -> tuple[float, float]:
    """Return the median of how long the query takes as a multiple of ``BY_HAND``, and of how long that takes, in s."""
    times_s, by_hand_s = [], []
    ids = await connection.fetchval(IDS)
    for argument in arguments:
        times_s.append(await _time(connection, query, argument, least_rows))
        by_hand_s.append(await _time(connection, BY_HAND, ids, 72))
    reference_s = statistics.median(by_hand_s)
    return statistics.median(times_s) / reference_s, reference_s


async def _time(connection: Any, query: str, argument: Any, least_rows: int) -> float:
    await asyncio.sleep(0.05)
    start = time.perf_counter()
    rows = await connection.fetch(query, argument)
    assert len(rows) >= least_rows
    return time.perf_counter() - start


async def test_twelve_million_points_answer_at_once_while_more_come_in(
    private_server: PrivateServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    await _tune(private_server)
    metrics = [f"synthetic.walk.{n % 10}" for n in range(20)]
    hosts = [json.dumps({"host": f"host-{n * 9:06d}"}) for n in range(50)]
    async with service_process(private_server.database.writer_url, tmp_path / "log") as service:
        filled = await run_load(LoadOptions(target=f"127.0.0.1:{service.grpc_port}", points=POINTS, series=SERIES))
        assert filled.phases[0].totals.acked_points == POINTS
        statements = ("VACUUM (ANALYZE) analytics.samples", "ANALYZE analytics.series")
        await execute(private_server.database.admin_url, *statements, timeout_s=300)
        reader = await asyncpg.connect(private_server.database.reader_url, timeout=5, command_timeout=60)
        async with _more_points(service):
            await asyncio.sleep(2)
            found = {
                "newest": await _ratios(reader, NEWEST, hosts, 1),
                "six hours": await _ratios(reader, SIX_HOURS, metrics, 72),
                "buckets": await _ratios(reader, EACH_SERIES.format("buckets"), metrics, 72 * (SERIES // 50)),
                "rate": await _ratios(reader, EACH_SERIES.format("rate"), metrics, 72 * (SERIES // 50)),
            }
        await reader.close(timeout=5)
    told = {name: f"{ratio:.3f} of {reference_s * 1e3:.0f} ms" for name, (ratio, reference_s) in found.items()}
    record_property("figures", f"medians, as multiples of a scan by hand: {told}")
    assert {name: ratio for name, (ratio, _) in found.items() if ratio > MOST[name]} == {}
