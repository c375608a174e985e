"""``ingestor bench``: measure this machine against the physical limit of the design."""

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ingestor.bench.ladder import Rung, climb
from ingestor.commands.local_site import local_site


def bench(
    pairs: Annotated[int, typer.Option(min=1, help="Interleaved pairs of runs; 9 for figures to quote.")] = 9,
) -> None:
    """Measure columns and rows against raw COPY, single calls against an empty server; takes minutes."""
    asyncio.run(_bench(pairs, Console()))


async def _bench(pairs: int, console: Console) -> None:
    async with local_site("bench", console) as database:
        rungs, lone_s = await climb(database.admin_url, database.writer_url, os.environ, pairs)
    console.print(_table(rungs, pairs))
    console.print(f"one caller after the other, committed: p50 {lone_s * 1000:.1f} ms")


def _table(rungs: list[Rung], pairs: int) -> Table:
    table = Table(title=f"medians of {pairs} interleaved pairs")
    for name in ("path", "points/s", "limit alone", "limit beside a parked client", "ratio to the latter"):
        table.add_column(name, justify="left" if name == "path" else "right")
    for rung in rungs:
        table.add_row(
            rung.name,
            *(f"{sorted(rates)[len(rates) // 2]:,.0f}" for rates in (rung.rates, rung.limits, rung.shared_limits)),
            f"{rung.ratio:.2f}",
        )
    return table
