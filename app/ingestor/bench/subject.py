"""A server on one store, and what is measured there: paths against L1, waits at half of capacity."""

import time
from collections.abc import Sequence
from dataclasses import replace

from ingestor.bench import site
from ingestor.bench.cpu import CpuMeter, CpuSeconds
from ingestor.bench.data import ROWS, Shape, make_copy_buffers, make_requests
from ingestor.bench.rungs import Pair, Rung, Wait
from ingestor.bench.sending import Sent, send_all, send_evenly

LATENCY_S = 5.0
_SHARE_OF_CAPACITY = 0.5


class Bench:
    """A server on one store, its database, and the rungs that are measured there."""

    def __init__(self, store: site.Store, server: site.Endpoint, cpu: CpuMeter, rungs: Sequence[Rung]) -> None:
        self.store = store
        self.server = server
        self.cpu = cpu
        self.rungs = rungs
        must_s, goal_s = (0.150, 0.060) if store.index == "SeriesTime" else (0.050, 0.025)
        self.latency = Wait(f"rows at half of capacity, {store.index}: p99", must_s, goal_s)

    async def measure(self, rung: Rung) -> Pair:
        """Measure one pair: through the server, then the same rows as COPY streams of the same size."""
        shape = rung.shape
        flushes = await self.server.flushes()
        sent, cpu = await self.send(shape)
        after = await self.server.flushes()
        mean_flush = round((after[0] - flushes[0]) / (after[1] - flushes[1]))
        buffers = make_copy_buffers(shape, mean_flush)
        limit, limit_cpu = await self._replay(buffers, shape.points)
        async with site.module("burner", f"{sent.cpu_share:.3f}"):
            shared_limit, _ = await self._replay(buffers, shape.points)
        return Pair(shape.points / sent.seconds, limit, shared_limit, cpu, limit_cpu)

    async def send(self, shape: Shape) -> tuple[Sent, CpuSeconds]:
        """Send all of a shape's points into the empty store and see that they are there."""
        requests = make_requests(shape)
        await self.store.empty()
        before = self.cpu.read()
        sent = await send_all(self.server.grpc_port, requests, shape.in_flight)
        cpu = self.cpu.read() - before
        await self._check_count(shape.points)
        return sent, cpu

    async def measure_latency(self) -> float:
        """Return the 99th percentile of rows' waits at half of what rows reached last, from the time meant, in s."""
        rows = next(rung for rung in self.rungs if rung.shape is ROWS)
        rate = _SHARE_OF_CAPACITY * rows.pairs[-1].rate
        shape = replace(ROWS, points=int(rate * LATENCY_S) // ROWS.points_per_request * ROWS.points_per_request)
        requests = make_requests(shape)
        await self.store.empty()
        sent = await send_evenly(self.server.grpc_port, requests, rate / shape.points_per_request, shape.in_flight)
        await self._check_count(shape.points)
        return sent.percentile_s(0.99)

    async def _replay(self, buffers: list[memoryview], points: int) -> tuple[float, CpuSeconds]:
        await self.store.empty()
        started, before = time.perf_counter(), self.cpu.read()
        await self.store.replay(buffers)
        seconds, cpu = time.perf_counter() - started, self.cpu.read() - before
        await self._check_count(points)
        return points / seconds, cpu

    async def _check_count(self, points: int) -> None:
        stored = await self.store.count()
        if stored != points:
            raise RuntimeError(f"{points} points were acked and {stored} are stored")
