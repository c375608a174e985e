"""One storm from beginning to end: build the site, let load and faults go, stop everything, judge."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg

from faults.storm.build import build_site
from faults.storm.clients import StormClient
from faults.storm.director import Director
from faults.storm.findings import Findings
from faults.storm.judge import Verdict, judge
from faults.storm.leftovers import new_token, remove_leftovers
from faults.storm.means import find_means
from faults.storm.plan import Plan
from faults.storm.report import MIB, Report
from faults.storm.schedule import fingerprint, make_schedule
from faults.storm.site import Site
from faults.storm.slices import Latencies, measure
from faults.storm.watch import watch

Say = Callable[[str], None]

CALM_S = 90.0
"""Longest time from the last mended fault until every request is acked."""
MAX_RSS_BYTES = 300 * MIB
MAX_GROWTH_BYTES = 32 * MIB


async def run_storm(
    plan: Plan, cache: Path, logs: Path, say: Say, *, prepared: Path | None = None, sabotage: str = ""
) -> Report:
    """Run a storm and return what was found; ``sabotage`` names a way to break the servers on purpose.

    ``logs`` is a folder for the servers' logs.
    """
    token = new_token()
    await remove_leftovers(cache / "instances")
    async with AsyncExitStack() as stack:
        means = await find_means(plan, cache)
        plan = means.plan
        strikes = make_schedule(plan)
        for line in (*(f"{name}: {text}" for name, text in means.choices.items()), *map(str, strikes)):
            say(line)
        say(f"seed {plan.seed}, schedule {fingerprint(strikes)}, {plan.points:,} points")
        site = await build_site(stack, means, cache, logs, token, prepared=prepared, sabotage=sabotage)
        started_at = site.progress.elapsed_s
        latencies = await _blow(site, plan, Director(site, strikes, plan.points, say), say)
        await _stop(site)
        duration_s = site.progress.elapsed_s - started_at
        verdict = await _judge(site)
        return Report(plan, fingerprint(strikes), means.choices, site.findings, verdict, latencies, duration_s)


async def _judge(site: Site) -> Verdict:
    """Judge both databases."""
    each = [(site.database.database, site.requests)]
    if site.latin is not None:
        each.append((site.latin.database, site.latin.client.requests))
    verdict = Verdict()
    for database, requests in each:
        connection = await asyncpg.connect(database.admin_url, timeout=10, command_timeout=300)
        try:
            verdict += await judge(connection, requests, site.rules, site.findings)
        finally:
            await connection.close()
    return verdict


async def _blow(site: Site, plan: Plan, director: Director, say: Say) -> Latencies:
    """Measure, then let clients and faults go until every fault is mended and every request is acked, or should be."""
    watchers = [asyncio.create_task(watch(server, site.findings)) for server in site.every_server]
    hostile = asyncio.create_task(_run(site.steady))
    try:
        latencies = await measure(site, plan, say)
        for client in site.steady:
            client.hostile = True
        await _storm(site, director, hostile)
    finally:
        for task in (hostile, *watchers):
            task.cancel()
        await asyncio.gather(hostile, *watchers, return_exceptions=True)
    _judge_memory(site.findings)
    return latencies


async def _storm(site: Site, director: Director, hostile: asyncio.Task[None]) -> None:
    load, faults = asyncio.create_task(_run(site.clients)), asyncio.create_task(director.run())
    try:
        done, _ = await asyncio.wait([load, faults, hostile], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await faults
        for client in site.steady:
            client.over = True
        await _judge_calm(site, [load, hostile])
    finally:
        for task in (load, faults):
            task.cancel()
        await asyncio.gather(load, faults, return_exceptions=True)


async def _run(clients: Sequence[StormClient]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(client.run())


async def _judge_calm(site: Site, loads: Sequence[asyncio.Task[None]]) -> None:
    """Wait for every request now that all is mended: servers live, and everybody is served."""
    for server in site.every_server:
        if not server.runs:
            site.findings.violate("no server ends by itself", f"server {server.number}, see {server.log}")
    done, pending = await asyncio.wait(loads, timeout=CALM_S)
    for task in done:
        task.result()
    if not pending:
        return
    left = sum(not request.acked for request in site.requests)
    site.findings.violate("every request is acked once all is mended", f"{left} are not after {CALM_S:.0f} s")


def _judge_memory(findings: Findings) -> None:
    if findings.peak_rss_bytes > MAX_RSS_BYTES:
        findings.violate("a server stays below 300 MiB", f"{findings.peak_rss_bytes / MIB:.0f} MiB")
    if findings.growth_bytes > MAX_GROWTH_BYTES:
        findings.violate("memory does not grow over time", f"by {findings.growth_bytes / MIB:.0f} MiB")


async def _stop(site: Site) -> None:
    for server in site.every_server:
        if (code := await server.terminate()) != 0:
            site.findings.violate("a server that is terminated exits with 0", f"{code}, see {server.log}")
