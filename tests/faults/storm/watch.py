"""Looks at each server all the time: its accounts and its memory."""

import asyncio
from statistics import median

import aiohttp

from faults.storm.findings import Findings
from faults.storm.servers import Server
from support.scrape import check_balance, scrape

INTERVAL_S = 0.5
SETTLED_S = 60.0
"""Life after which a process's memory is compared: caches fill at first."""


async def watch(server: Server, findings: Findings) -> None:
    """Scrape until cancelled."""
    lives: dict[int, list[int]] = {}
    while True:
        await asyncio.sleep(INTERVAL_S)
        if server.process is None or not server.runs:
            continue
        rss_bytes = server.rss_bytes()
        findings.peak_rss_bytes = max(findings.peak_rss_bytes, rss_bytes)
        life = lives.setdefault(server.process.pid, [])
        life.append(rss_bytes)
        findings.growth_bytes = max(findings.growth_bytes, _growth(life))
        try:
            samples = await scrape(server.place.http_port, server.place.host)
        except (aiohttp.ClientError, OSError, TimeoutError):
            continue  # it is being killed
        findings.counts["scrapes"] += 1
        try:
            check_balance(samples)
        except AssertionError as error:
            findings.violate("the accounts balance at every scrape", f"server {server.number}: {error}")


def _growth(life: list[int]) -> int:
    """Return by how much memory grew between the second and the last quarter of a long life."""
    if len(life) * INTERVAL_S < 4 * SETTLED_S or len(life) % 100:
        return 0
    quarter = len(life) // 4
    return int(median(life[-quarter:]) - median(life[quarter : 2 * quarter]))
