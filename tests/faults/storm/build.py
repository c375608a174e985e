"""Build a storm's site: the database with its rules, the network, the servers, and all clients."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from faults.storm.callers import HealthyCaller
from faults.storm.clients import StormClient
from faults.storm.clocks import FakeClock
from faults.storm.database import StormDatabase, storm_database
from faults.storm.findings import Findings
from faults.storm.hostile import LATE_DAYS, HostileClient
from faults.storm.latin import Latin, LatinClient, make_latin_database
from faults.storm.links import Links, loopback_links, namespace_links
from faults.storm.means import Means
from faults.storm.plan import Plan
from faults.storm.pooler import Pooler
from faults.storm.progress import Progress
from faults.storm.rules import SETUP, Rules
from faults.storm.servers import Server
from faults.storm.site import Site
from support.database import Database, execute

_CALLERS = 3


async def build_site(
    stack: AsyncExitStack,
    means: Means,
    cache: Path,
    logs: Path,
    token: str,
    *,
    prepared: Path | None,
    sabotage: str,
) -> Site:
    """Return a site that is up; ``stack`` takes it down."""
    plan = means.plan
    database = await stack.enter_async_context(
        storm_database(cache, token, plan.points, disks=plan.disks, prepared=prepared)
    )
    await execute(database.database.admin_url, SETUP)
    latin = await make_latin_database(database.server) if plan.latin else None
    links = await stack.enter_async_context(_links(plan, database.database.writer_url, token))
    urls = [place.gate.url for place in links.places]
    poolers = [Pooler(means.pgbouncer, plan.pooler, url) for url in urls[: plan.pooled]]
    for number, pooler in enumerate(poolers):
        urls[number] = (await stack.enter_async_context(pooler)).url
    if latin is not None:
        urls[-1] = urlsplit(urls[-1])._replace(path=latin.name).geturl()
    servers = [
        Server(
            number,
            place,
            logs / f"server-{number}.log",
            database_url=url,
            clock=FakeClock(means.faketime, logs / f"clock-{number}") if means.faketime is not None else None,
            sabotage=sabotage,
            window_min=60 + int(2 * plan.minutes),
        )
        for number, (place, url) in enumerate(zip(links.places, urls, strict=True))
    ]
    for server in servers:
        stack.push_async_callback(server.kill)
    await asyncio.gather(*(server.start() for server in servers))
    return await _site(stack, plan, database, links, servers, poolers, latin)


def _links(plan: Plan, url: str, token: str) -> AbstractAsyncContextManager[Links]:
    servers = plan.servers + plan.latin
    if plan.namespaces:
        return namespace_links(url, servers, token)
    return loopback_links(url, servers)


async def _site(
    stack: AsyncExitStack,
    plan: Plan,
    database: StormDatabase,
    links: Links,
    servers: list[Server],
    poolers: list[Pooler],
    latin_database: Database | None,
) -> Site:
    progress, findings = Progress(), Findings()
    now_us = time.time_ns() // 1000
    ours = servers[: plan.servers]
    every = (plan, ours, progress, findings, now_us)
    numbers = count()
    clients = [StormClient(next(numbers), *every) for _ in range(plan.clients)]
    hostile = [HostileClient(next(numbers), *every) for _ in range(plan.hostile_clients)]
    callers = [HealthyCaller(next(numbers), *every) for _ in range(_CALLERS)]
    latin = None
    if latin_database is not None:
        client = LatinClient(next(numbers), plan, servers[-1:], progress, findings, now_us)
        latin = Latin(latin_database, servers[-1], client)
    for one in (*clients, *hostile, *callers, *([latin.client] if latin is not None else [])):
        await stack.enter_async_context(one)
    late_at = datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(days=LATE_DAYS, hours=1)
    rules = Rules(database.connect)
    return Site(database, links, ours, clients, hostile, callers, rules, poolers, latin, late_at, progress, findings)
