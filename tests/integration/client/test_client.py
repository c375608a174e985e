"""The client against a real server: what was recorded is stored once, with the values it was recorded with."""

import asyncio
import math
import socket
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ingestor.client import Client, ClientFullError, PointsFailedError, RejectedPoint
from ingestor.client.attempts import Attempts
from ingestor.client.encode import Request
from ingestor.client.sender import Outcome, Sender
from support.client import stored_points
from support.database import Database
from support.docs import block, fill
from support.eventually import HANG_S, eventually
from support.points import count_samples
from support.service import running_service, service_process

MIB = 1024 * 1024
RETRY_WITHIN_S = 60.0


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_values_labels_and_times_arrive_as_they_were_recorded(database: Database) -> None:
    values = [1, -2, 2**53, 0.1, -0.0, 5e-324, math.inf, -math.inf, math.nan, True]
    now_ns = time.time_ns()
    async with (
        running_service(database.writer_url) as service,
        Client(f"127.0.0.1:{service.grpc_port}") as client,
    ):
        for number, value in enumerate(values):
            await client.record("service", f"m{number}", value, labels={"b": "ü\n", "a": ""}, time_ns=now_ns)
        await client.record("service", "now", 1)
    rows = {row["metric_name"]: row for row in await stored_points(database)}
    assert [repr(rows[f"m{number}"]["value"]) for number in range(len(values))] == [repr(float(v)) for v in values]
    assert {row["labels"] for name, row in rows.items() if name != "now"} == {'{"a": "", "b": "ü\\n"}'}
    assert rows["m0"]["time_us"] == now_ns // 1_000
    assert abs(rows["now"]["time_us"] * 1_000 - now_ns) < 30e9


async def test_columns_arrive_as_they_were_recorded(database: Database) -> None:
    points, count = 60_000, 2_000
    index = np.random.default_rng(1).integers(0, count, points)
    times_ns = time.time_ns() - np.arange(points) * 1_000
    values = np.random.default_rng(2).standard_normal(points)
    async with (
        running_service(database.writer_url) as service,
        Client(f"127.0.0.1:{service.grpc_port}") as client,
    ):
        series = [client.series("service", "metric", {"n": f"{n:04d}"}) for n in range(count)]
        await client.record_columns(series, index, times_ns, values)
    rows = await stored_points(database)
    expected = {(f'{{"n": "{n:04d}"}}', t // 1_000, v) for n, t, v in zip(index, times_ns, values, strict=True)}
    assert len(rows) == points
    assert {(row["labels"], row["time_us"], row["value"]) for row in rows} == expected


async def test_a_server_that_comes_late_and_is_killed_has_every_point_once(
    database: Database, tmp_path: Path, unused_port: int
) -> None:
    total, sent = 30_000, asyncio.Event()
    client = Client(
        f"127.0.0.1:{unused_port}", batch_points=200, linger_s=0.05, in_flight=8, close_timeout_s=RETRY_WITHIN_S
    )

    async def record() -> None:
        async with client:
            series = client.series("service", "metric")
            first_ns = time.time_ns() - total * 1_000
            for value in range(total):
                await series.record(value, time_ns=first_ns + value * 1_000)
                if value % 1_000 == 0:
                    await asyncio.sleep(0.03)
            sent.set()

    recording = asyncio.create_task(record())
    await eventually(lambda: client.stats().retries > 0)
    for run in range(2):
        async with service_process(database.writer_url, tmp_path / f"log{run}", grpc_port=unused_port) as server:
            acked = client.stats().acked_points
            await eventually(lambda acked=acked: client.stats().acked_points >= min(total, acked + 3_000))  # type: ignore[misc]
            if run < 1:
                server.kill()
                await server.process.wait()
            else:
                await recording
    assert sent.is_set()
    assert [row["value"] for row in await stored_points(database)] == list(range(total))
    assert client.stats().acked_points == total


class LossySender:
    """Throws every answer away once: sends each request again as a client does whose reply was lost."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        await self._sender.send(request, attempts)
        return await self._sender.send(request, attempts)


async def test_points_whose_replies_were_lost_are_known_as_duplicates(database: Database) -> None:
    async with (
        running_service(database.writer_url) as service,
        Sender(f"127.0.0.1:{service.grpc_port}") as sender,
        Client("", sender=LossySender(sender), batch_points=100) as client,
    ):
        for value in range(1_000):
            await client.record("service", "metric", value)
        await client.flush()
        stats = client.stats()
    assert stats.acked_points == stats.duplicate_points == 1_000
    assert [row["value"] for row in await stored_points(database)] == list(range(1_000))


async def test_a_thousand_callers_at_once(database: Database) -> None:
    async with (
        running_service(database.writer_url) as service,
        Client(f"127.0.0.1:{service.grpc_port}", batch_points=500, in_flight=40) as client,
    ):

        async def record(caller: int) -> None:
            for value in range(20):
                await client.record("service", f"m{caller:03d}", value, labels={"caller": str(caller)})
                await asyncio.sleep(0)

        await asyncio.gather(*(record(caller) for caller in range(1_000)))
    rows = await stored_points(database)
    assert [(row["metric_name"], row["value"]) for row in rows] == [
        (f"m{caller:03d}", value) for caller in sorted(range(1_000), key=lambda n: f"m{n:03d}") for value in range(20)
    ]


async def test_bad_points_are_named_and_keep_no_other_from_being_stored(database: Database) -> None:
    rejected: list[tuple[int, Sequence[RejectedPoint]]] = []
    async with (
        running_service(database.writer_url) as service,
        Client(
            f"127.0.0.1:{service.grpc_port}", on_rejected=lambda count, first: rejected.append((count, first))
        ) as client,
    ):
        await client.record("service", "good", 1)
        await client.record("service", "old", 2, time_ns=1)
        await client.flush()
        await client.record("service", "metric", 3, labels={"label": "x" * 3_000})
        with pytest.raises(PointsFailedError, match="INVALID_ARGUMENT"):
            await client.flush()
        await client.record("service", "good", 4)
        await client.flush()
        stats = client.stats()
    ((count, (first,)),) = rejected
    assert (count, first.series.metric_name, first.value, first.reason) == (1, "old", 2, "time_too_far_behind")
    assert (stats.acked_points, stats.rejected_points, stats.failed_points) == (2, 1, 1)
    assert [row["value"] for row in await stored_points(database)] == [1, 4]


async def test_memory_is_bounded_while_nobody_is_there(unused_port: int) -> None:
    limit_bytes = 16 * MIB
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(PointsFailedError) as failed:
            async with Client(
                f"127.0.0.1:{unused_port}", max_pending_bytes=limit_bytes, full_timeout_s=0.5, close_timeout_s=0.2
            ) as client:
                series = [client.series("service", "metric", {"n": str(n)}) for n in range(100)]
                columns = np.arange(20_000) % 100, np.full(20_000, time.time_ns()), np.ones(20_000)
                with pytest.raises(ClientFullError):
                    while True:
                        await client.record_columns(series, *columns)
                assert limit_bytes * 0.9 < client.stats().pending_bytes <= limit_bytes
                assert client.stats().pending_points > 700_000
                recorded = client.stats().recorded_points
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert sum(failure.points for failure in failed.value.failures) == recorded == client.stats().failed_points
    assert peak < limit_bytes + 4 * MIB


async def test_the_readmes_example_runs(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        program = fill(block("README.md", "From Python"), {"localhost:50051": f"127.0.0.1:{service.grpc_port}"})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(HANG_S):
            output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"acked_points=4" in output
    assert [row["value"] for row in await stored_points(database, "web")] == [3, 0.4, 0.5, 0.6]
    assert await count_samples(database.admin_url) == 4
