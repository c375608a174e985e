"""The ladder: columns and rows against L1, single calls against an empty server, waits, and the cost of tracing.

Pairs are interleaved and figures are medians, for machines are shared; acked = stored is checked in every run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from ingestor.bench import site
from ingestor.bench.cpu import CpuMeter, find_postmaster
from ingestor.bench.data import DEEP, LONE, ROWS, SINGLES, WIDE, make_requests
from ingestor.bench.rungs import NO_CPU, Pair, Results, Rung, Wait
from ingestor.bench.sending import send_all
from ingestor.bench.subject import Bench
from ingestor.bench.traced import TracedBench
from ingestor.points import Ack

OnPair = Callable[[int], None]


async def climb(stores: Sequence[site.Store], environment: Mapping[str, str], pairs: int, on_pair: OnPair) -> Results:
    """Measure so many interleaved pairs on each store; ``on_pair`` is told the number of each that is done."""
    results = Results(pairs)
    singles = [Rung(SINGLES, None, 0.70, 0.90), Rung(_KEYED, None, 0.0, 0.0)]
    lone = Wait("single calls, one after the other, committed: p50", 0.006, 0.003)
    async with AsyncExitStack() as stack:
        benches = [await _open(stack, store, environment) for store in stores]
        empty_port = await stack.enter_async_context(site.listening("empty_server"))
        collector_port = await stack.enter_async_context(site.listening("empty_server"))
        traces = {"traces_endpoint": f"http://127.0.0.1:{collector_port}"}
        traced = TracedBench(benches[0], await _open(stack, stores[0], environment, **traces))
        for bench in benches:  # series, chunks and caches are there before anything counts
            for rung in bench.rungs:
                await bench.measure(rung)
        await traced.measure()
        traced.forget()
        for number in range(pairs):
            for bench in benches:
                for rung in bench.rungs:
                    rung.pairs.append(await bench.measure(rung))
                bench.latency.seconds.append(await bench.measure_latency())
            await benches[0].store.empty()
            for rung in singles:
                rung.pairs.append(await _measure_singles(rung, benches[0], empty_port))
            await traced.measure()
            sent = await send_all(benches[0].server.grpc_port, make_requests(LONE), LONE.in_flight)
            lone.seconds.append(sent.percentile_s(0.5))
            on_pair(number + 1)
        results.peak_bytes = max(bench.cpu.peak_bytes() for bench in benches)
    results.rungs = [*(rung for bench in benches for rung in bench.rungs), *singles, *traced.rungs]
    results.waits = [*(bench.latency for bench in benches), lone]
    return results


_KEYED = replace(SINGLES, name=f"{SINGLES.name}, each with a key")


async def _open(stack: AsyncExitStack, store: site.Store, environment: Mapping[str, str], **settings: str) -> Bench:
    server = await stack.enter_async_context(site.serving(store, environment, ack="buffered", **settings))
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
    return Pair(rung.shape.points / sent.seconds, limit, limit, cpu, NO_CPU)
