"""One storm from beginning to end: build the site, let load and faults go, stop everything, judge."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path

from faults.storm.clients import StormClient
from faults.storm.clocks import FakeClock, find_faketime
from faults.storm.database import StormDatabase, storm_database
from faults.storm.director import Director
from faults.storm.disks import may_mount
from faults.storm.findings import Findings
from faults.storm.judge import judge
from faults.storm.leftovers import new_token, remove_leftovers
from faults.storm.links import Links, loopback_links, may_make_namespaces, namespace_links
from faults.storm.plan import NEEDS_BACKENDS, NEEDS_CLOCKS, NEEDS_DISKS, Plan
from faults.storm.progress import Progress
from faults.storm.report import MIB, Report
from faults.storm.schedule import fingerprint, make_schedule
from faults.storm.servers import Server
from faults.storm.site import Site
from faults.storm.watch import watch
from support.database import Database
from support.pgbouncer import CURRENT, find_pgbouncer, pgbouncer

Say = Callable[[str], None]

CALM_S = 90.0
"""Longest time from the last mended fault until every request is acked."""
MAX_RSS_BYTES = 300 * MIB
MAX_GROWTH_BYTES = 32 * MIB
_REFUSE_NEGATIVE = "ALTER TABLE analytics.samples ADD CONSTRAINT storm_positive CHECK (value >= 0)"


async def run_storm(
    plan: Plan, cache: Path, logs: Path, say: Say, *, prepared: Path | None = None, sabotage: str = ""
) -> Report:
    """Run a storm and return what was found; ``sabotage`` names a way to break the servers on purpose.

    ``logs`` is a folder for the servers' logs.
    """
    token = new_token()
    await remove_leftovers(cache / "instances")
    async with AsyncExitStack() as stack:
        plan, library, choices = await _choose(plan, cache)
        strikes = make_schedule(plan)
        for line in (*(f"{name}: {text}" for name, text in choices.items()), *map(str, strikes)):
            say(line)
        say(f"seed {plan.seed}, schedule {fingerprint(strikes)}, {plan.points:,} points")
        database = await stack.enter_async_context(
            storm_database(cache, token, plan.points, disks=plan.disks, prepared=prepared)
        )
        await _execute(database, _REFUSE_NEGATIVE)
        url = await _entrance(stack, plan, database.database)
        links = await stack.enter_async_context(_links(plan, url, token))
        servers = _servers(plan, links, logs, library, sabotage)
        for server in servers:
            stack.push_async_callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers))
        site = await _site(stack, plan, database, links, servers)
        started_at = site.progress.elapsed_s
        await _blow(site, Director(site, strikes, plan.points, say))
        await _stop(site)
        duration_s = site.progress.elapsed_s - started_at
        connection = await database.connect()
        try:
            requests = [request for client in site.clients for request in client.requests]
            verdict = await judge(connection, requests, site.findings)
        finally:
            await connection.close()
        return Report(plan, fingerprint(strikes), choices, site.findings, verdict, duration_s)


async def _choose(plan: Plan, cache: Path) -> tuple[Plan, Path | None, dict[str, str]]:
    """Return the plan without what this machine cannot do, the clocks' library, and what was chosen in words."""
    choices = {}
    if plan.namespaces and not may_make_namespaces():
        plan = replace(plan, namespaces=False)
    if plan.pooler:
        plan = plan.without(NEEDS_BACKENDS)
        choices["pooler"] = f"PgBouncer in {plan.pooler} mode"
    choices["network"] = "namespaces" if plan.namespaces else "loopback, cut by a proxy"
    if plan.disks and not may_mount():
        plan = replace(plan.without(NEEDS_DISKS), disks=False)
        choices["disks"] = "none of its own (that takes root and loop devices): never full"
    library = await find_faketime(cache) if plan.clocks else None
    if plan.clocks and library is None:
        plan = replace(plan.without(NEEDS_CLOCKS), clocks=False)
        choices["clocks"] = "true (there is no libfaketime): only clients' jump"
    return plan, library, choices


async def _entrance(stack: AsyncExitStack, plan: Plan, database: Database) -> str:
    """Return where the servers find the database."""
    if not plan.pooler:
        return database.writer_url
    command = await find_pgbouncer(CURRENT)
    through = await stack.enter_async_context(pgbouncer(command, database, pool_mode=plan.pooler))
    return through.writer_url


def _links(plan: Plan, url: str, token: str) -> AbstractAsyncContextManager[Links]:
    if plan.namespaces:
        return namespace_links(url, plan.servers, token)
    return loopback_links(url, plan.servers)


def _servers(plan: Plan, links: Links, logs: Path, library: Path | None, sabotage: str) -> list[Server]:
    return [
        Server(
            number,
            place,
            logs / f"server-{number}.log",
            clock=FakeClock(library, logs / f"clock-{number}") if library is not None else None,
            sabotage=sabotage,
            window_min=60 + int(2 * plan.minutes),
        )
        for number, place in enumerate(links.places)
    ]


async def _site(
    stack: AsyncExitStack, plan: Plan, database: StormDatabase, links: Links, servers: list[Server]
) -> Site:
    progress, findings = Progress(), Findings()
    now_us = time.time_ns() // 1000
    clients = [
        await stack.enter_async_context(StormClient(number, plan, servers, progress, findings, now_us))
        for number in range(plan.clients)
    ]
    return Site(database, links, servers, clients, progress, findings)


async def _blow(site: Site, director: Director) -> None:
    """Let clients and faults go until every fault is mended and every request is acked, or should be."""
    watchers = [asyncio.create_task(watch(server, site.findings)) for server in site.servers]
    load, faults = asyncio.create_task(_send(site)), asyncio.create_task(director.run())
    try:
        done, _ = await asyncio.wait([load, faults], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await faults
        await _judge_calm(site, load)
    finally:
        for task in (load, faults, *watchers):
            task.cancel()
        await asyncio.gather(load, faults, *watchers, return_exceptions=True)
    _judge_memory(site.findings)


async def _send(site: Site) -> None:
    async with asyncio.TaskGroup() as tasks:
        for client in site.clients:
            tasks.create_task(client.run())


async def _judge_calm(site: Site, load: asyncio.Task[None]) -> None:
    """Wait for every request now that all is mended: servers live, and everybody is served."""
    for server in site.servers:
        if not server.runs:
            site.findings.violate("no server ends by itself", f"server {server.number}, see {server.log}")
    await asyncio.wait([load], timeout=CALM_S)
    if load.done():
        load.result()
        return
    left = sum(not request.acked for client in site.clients for request in client.requests)
    site.findings.violate("every request is acked once all is mended", f"{left} are not after {CALM_S:.0f} s")


def _judge_memory(findings: Findings) -> None:
    if findings.peak_rss_bytes > MAX_RSS_BYTES:
        findings.violate("a server stays below 300 MiB", f"{findings.peak_rss_bytes / MIB:.0f} MiB")
    if findings.growth_bytes > MAX_GROWTH_BYTES:
        findings.violate("memory does not grow over time", f"by {findings.growth_bytes / MIB:.0f} MiB")


async def _stop(site: Site) -> None:
    for server in site.servers:
        if (code := await server.terminate()) != 0:
            site.findings.violate("a server that is terminated exits with 0", f"{code}, see {server.log}")


async def _execute(database: StormDatabase, statement: str) -> None:
    connection = await database.connect()
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
