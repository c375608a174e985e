"""The measurements: columns and rows against L1, single calls against an empty server, a lone caller's wait.

Pairs are interleaved and figures are medians, for these machines are shared; acked = stored is checked in every run.
"""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestor.bench import site
from ingestor.bench.data import SHAPES, Shape, make_copy_buffers, make_requests
from ingestor.client.encode import Form, Request
from ingestor.client.sender import Sender, Verdict
from ingestor.points import Ack

SINGLES = Shape("single calls, 64 in flight, buffered", Form.SINGLE, 5_000, 1, 64)
LONE = Shape("single calls, one after the other, committed", Form.SINGLE, 300, 1, 1)


@dataclass(slots=True)
class Rung:
    """One path's figures: points per second of the path, of its limit, and of the limit beside a parked client."""

    name: str
    rates: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    shared_limits: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios."""
        return statistics.median(rate / limit for rate, limit in zip(self.rates, self.shared_limits, strict=True))


@dataclass(frozen=True, slots=True)
class Sent:
    """One run of the client: seconds in all, its share of a core, and each call's wait in seconds."""

    seconds: float
    cpu_share: float
    waits_s: list[float]


async def climb(
    admin_url: str, writer_url: str, environment: Mapping[str, str], pairs: int
) -> tuple[list[Rung], float]:
    """Return the rungs, and the median wait of a lone committed call in seconds."""
    rungs = [Rung(shape.name) for shape in SHAPES]
    singles = Rung(SINGLES.name)
    waits_s: list[float] = []
    async with site.serving(writer_url, environment) as server, site.module("empty_server") as nothing:
        assert nothing.stdout is not None
        empty_port = int(await nothing.stdout.readline())
        for shape in SHAPES:  # series, chunks and caches are there before anything counts
            await _measure_shape(admin_url, writer_url, server, shape, Rung(shape.name))
        for _ in range(pairs):
            for shape, rung in zip(SHAPES, rungs, strict=True):
                await _measure_shape(admin_url, writer_url, server, shape, rung)
            requests = make_requests(SINGLES, Ack.BUFFERED)
            singles.rates.append(SINGLES.points / (await _send(server.grpc_port, requests, SINGLES.in_flight)).seconds)
            limit = SINGLES.points / (await _send(empty_port, requests, SINGLES.in_flight)).seconds
            singles.limits.append(limit)
            singles.shared_limits.append(limit)
            waits_s += (await _send(server.grpc_port, make_requests(LONE), 1)).waits_s
    return [*rungs, singles], statistics.median(waits_s)


async def _measure_shape(admin_url: str, writer_url: str, server: site.Endpoint, shape: Shape, rung: Rung) -> None:
    """Measure one pair: through the server, then the same rows as COPY streams of the same size."""
    requests = make_requests(shape)
    await site.empty(admin_url)
    before = await server.flushes()
    sent = await _send(server.grpc_port, requests, shape.in_flight)
    after = await server.flushes()
    await _check_count(admin_url, shape.points)
    rung.rates.append(shape.points / sent.seconds)
    mean_flush = round((after[0] - before[0]) / (after[1] - before[1]))
    buffers = make_copy_buffers(shape.points, mean_flush)
    rung.limits.append(await _replay(admin_url, writer_url, buffers, shape.points))
    async with site.module("burner", f"{sent.cpu_share:.3f}"):
        rung.shared_limits.append(await _replay(admin_url, writer_url, buffers, shape.points))


async def _replay(admin_url: str, writer_url: str, buffers: list[memoryview], points: int) -> float:
    await site.empty(admin_url)
    started = time.perf_counter()
    await site.replay(writer_url, buffers)
    seconds = time.perf_counter() - started
    await _check_count(admin_url, points)
    return points / seconds


async def _check_count(admin_url: str, points: int) -> None:
    stored = await site.count(admin_url)
    if stored != points:
        raise RuntimeError(f"{points} points were acked and {stored} are stored")


async def _send(port: int, requests: list[Request], in_flight: int) -> Sent:
    """Send all requests with so many in flight."""
    waiting = list(reversed(requests))
    waits_s: list[float] = []

    async def work(sender: Sender) -> None:
        while waiting:
            request = waiting.pop()
            started = time.perf_counter()
            outcome = await sender.send(request, lambda *_: None)
            waits_s.append(time.perf_counter() - started)
            if outcome.verdict is not Verdict.ACKED:
                raise RuntimeError(f"a request was not acked: {outcome.status} {outcome.message}")

    async with Sender(f"127.0.0.1:{port}", in_flight=in_flight) as sender:
        started, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(work(sender))
        seconds = time.perf_counter() - started
    return Sent(seconds, (time.process_time() - cpu) / seconds, waits_s)
