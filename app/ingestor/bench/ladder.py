"""The measurements: columns and rows against L1, single calls against an empty server, waits at half of capacity.

Pairs are interleaved and figures are medians, for machines are shared; acked = stored is checked in every run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from ingestor.bench import site
from ingestor.bench.cpu import CpuMeter, CpuSeconds, find_postmaster
from ingestor.bench.data import DEEP, LONE, ROWS, SINGLES, WIDE, make_copy_buffers, make_requests
from ingestor.bench.rungs import Pair, Results, Rung, Wait
from ingestor.bench.sending import send_all, send_evenly
from ingestor.points import Ack

LATENCY_S = 5.0
_SHARE_OF_CAPACITY = 0.5
_NO_CPU = CpuSeconds(0.0, 0.0, 0.0)

OnPair = Callable[[int], None]


class Bench:
    """A server on one store, its database, and the rungs that are measured there."""

    def __init__(self, store: site.Store, server: site.Endpoint, cpu: CpuMeter, rungs: Sequence[Rung]) -> None:
        self.store = store
        self.server = server
        self.cpu = cpu
        self.rungs = rungs
        self.latency = _latency(store)

    async def measure(self, rung: Rung) -> Pair:
        """Measure one pair: through the server, then the same rows as COPY streams of the same size."""
        shape = rung.shape
        requests = make_requests(shape)
        await self.store.empty()
        flushes, before = await self.server.flushes(), self.cpu.read()
        sent = await send_all(self.server.grpc_port, requests, shape.in_flight)
        cpu = self.cpu.read() - before
        after = await self.server.flushes()
        await self._check_count(shape.points)
        mean_flush = round((after[0] - flushes[0]) / (after[1] - flushes[1]))
        buffers = make_copy_buffers(shape, mean_flush)
        limit, limit_cpu = await self._replay(buffers, shape.points)
        async with site.module("burner", f"{sent.cpu_share:.3f}"):
            shared_limit, _ = await self._replay(buffers, shape.points)
        return Pair(shape.points / sent.seconds, limit, shared_limit, cpu, limit_cpu)

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


async def climb(stores: Sequence[site.Store], environment: Mapping[str, str], pairs: int, on_pair: OnPair) -> Results:
    """Measure so many interleaved pairs on each store; ``on_pair`` is told the number of each that is done."""
    results = Results(pairs)
    singles = [Rung(SINGLES, None, 0.70, 0.90), Rung(_KEYED, None, 0.0, 0.0)]
    lone = Wait("single calls, one after the other, committed: p50", 0.006, 0.003)
    async with AsyncExitStack() as stack:
        benches = [await _open(stack, store, environment) for store in stores]
        nothing = await stack.enter_async_context(site.module("empty_server"))
        assert nothing.stdout is not None
        empty_port = int(await nothing.stdout.readline())
        for bench in benches:  # series, chunks and caches are there before anything counts
            for rung in bench.rungs:
                await bench.measure(rung)
        for number in range(pairs):
            for bench in benches:
                for rung in bench.rungs:
                    rung.pairs.append(await bench.measure(rung))
                bench.latency.seconds.append(await bench.measure_latency())
            await benches[0].store.empty()
            for rung in singles:
                rung.pairs.append(await _measure_singles(rung, benches[0], empty_port))
            sent = await send_all(benches[0].server.grpc_port, make_requests(LONE), LONE.in_flight)
            lone.seconds.append(sent.percentile_s(0.5))
            on_pair(number + 1)
        results.peak_bytes = max(bench.cpu.peak_bytes() for bench in benches)
    results.rungs = [*(rung for bench in benches for rung in bench.rungs), *singles]
    results.waits = [*(bench.latency for bench in benches), lone]
    return results


_KEYED = replace(SINGLES, name=f"{SINGLES.name}, each with a key")


async def _open(stack: AsyncExitStack, store: site.Store, environment: Mapping[str, str]) -> Bench:
    server = await stack.enter_async_context(site.serving(store, environment, ack="buffered"))
    cpu = CpuMeter(server.pid, await find_postmaster(store.admin_url))
    return Bench(store, server, cpu, _rungs(store))


def _rungs(store: site.Store) -> list[Rung]:
    if store.index == "SeriesTime":
        return [Rung(WIDE, store.index, 0.90, 0.98), Rung(ROWS, store.index, 0.60, 0.80)]
    return [
        Rung(WIDE, store.index, 0.60, 0.80),
        Rung(DEEP, store.index, 0.70, 0.85),
        Rung(ROWS, store.index, 0.45, 0.65),
    ]


def _latency(store: site.Store) -> Wait:
    must_s, goal_s = (0.150, 0.060) if store.index == "SeriesTime" else (0.050, 0.025)
    return Wait(f"rows at half of capacity, {store.index}: p99", must_s, goal_s)


async def _measure_singles(rung: Rung, bench: Bench, empty_port: int) -> Pair:
    """Measure one pair: single calls to the server and to one that answers at once."""
    requests = make_requests(rung.shape, Ack.BUFFERED)
    if rung.shape is SINGLES:  # as clients of the original interface send them; the server's ack is buffered
        requests = [replace(request, metadata=()) for request in requests]
    before = bench.cpu.read()
    sent = await send_all(bench.server.grpc_port, requests, rung.shape.in_flight)
    cpu = bench.cpu.read() - before
    empty = await send_all(empty_port, requests, rung.shape.in_flight)
    limit = rung.shape.points / empty.seconds
    return Pair(rung.shape.points / sent.seconds, limit, limit, cpu, _NO_CPU)
