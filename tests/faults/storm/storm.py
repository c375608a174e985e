"""One storm from its options to its result: traffic and strikes side by side, then the comparison."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from faults.storm.clock import Clock, find_libfaketime
from faults.storm.database import StormDatabase
from faults.storm.judge import Verdict, judge
from faults.storm.network import Network
from faults.storm.plan import Kind, StormOptions, make_schedule
from faults.storm.requests import StormData
from faults.storm.servers import IngestServer
from faults.storm.strikes import Striker
from faults.storm.traffic import Traffic
from faults.storm.watch import Watch

SETTLE_TIMEOUT_S = 120.0
"""Longest time from the last strike until every request is acked."""
MODULES = {"": ("ingestor", "serve"), "ledger": ("faults.storm.sabotage",), "ack": ("ingestor", "serve")}
"""What the servers run: the product; with its ledger off; with acks before COMMIT, which is its ``ack=buffered``."""
_SLACK = 0.05
"""How far traffic may be ahead of the next strike, as a share of all points."""
_BACK_S = 3_600
"""How far back points begin, in seconds: within the servers' limits however their clocks jump."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What one storm did and what came of it."""

    seed: int
    points: int
    seconds: float
    struck: dict[str, int]
    told: dict[str, int]
    verdict: Verdict
    peak_bytes: int
    scrapes: int
    violations: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Tell whether nothing was lost, doubled or otherwise wrong."""
        wrong = self.verdict.lost + self.verdict.doubled + self.verdict.foreign + abs(self.verdict.ledger_difference)
        return not wrong and not self.violations


async def run_storms(options: StormOptions, cache: Path, say: Say) -> list[Result]:
    """Run one storm, or with ``minutes`` one after the other on the same servers until they are over."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        database = await stack.enter_async_context(StormDatabase(cache))
        network = await stack.enter_async_context(Network(database.urls.writer_url))
        library = await find_libfaketime(cache)
        disk = "a tmpfs" if database.has_disk else "not filled: no right to mount one"
        say(f"disk: {disk}; network: {network.description}")
        servers = [
            IngestServer(
                number,
                network,
                Clock(library, folder / f"clock{number}"),
                folder / f"log{number}",
                MODULES[options.sabotage],
            )
            for number in range(options.servers)
        ]
        for server in servers:
            server.variables["INGESTOR_ACK"] = "buffered" if options.sabotage == "ack" else "committed"
            await server.start()
            stack.push_async_callback(server.close)
        results: list[Result] = []
        ends_at = time.monotonic() + options.minutes * 60
        while not results or time.monotonic() < ends_at:
            seed = options.seed + len(results)
            results.append(await _run_storm(options, seed, database, network, servers, say))
            if not results[-1].passed:
                break
        return results


async def _run_storm(
    options: StormOptions,
    seed: int,
    database: StormDatabase,
    network: Network,
    servers: list[IngestServer],
    say: Say,
) -> Result:
    started = time.monotonic()
    data = StormData(f"storm-{seed}", (int(time.time()) - _BACK_S) * 1_000_000_000)
    schedule = make_schedule(seed, options.points, options.servers, options.counts)
    say(f"seed {seed}: {options.points:,} points, {len(schedule)} strikes")
    traffic = Traffic(data, seed, options.points, [server.target for server in servers])
    striker, watch = Striker(database, network, servers), Watch(network, servers)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run())
        sending = tasks.create_task(traffic.run(options.clients))
        await striker.run(schedule, traffic, int(options.points * _SLACK))
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            await asyncio.wait({sending})
        watching.cancel()
    if options.sabotage == "ack":  # what is held would be stored yet; only what a kill took is lost
        await asyncio.gather(*(server.stop() for server in servers))
    verdict = await judge(database.urls.admin_url, data, traffic.told.acked)
    violations = [*traffic.told.violations, *watch.violations]
    violations += [f"a server ended with {code}" for server in servers for code in server.exit_codes if code]
    return Result(
        seed,
        options.points,
        time.monotonic() - started,
        {kind.value: striker.done[kind] for kind in Kind},
        dict(traffic.told.counts),
        verdict,
        watch.peak_bytes,
        watch.scrapes,
        violations,
    )
