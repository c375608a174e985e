"""``ingestor bench``: measure this machine against the physical limit of the design."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ingestor.bench.ladder import climb
from ingestor.bench.machine import describe_machine
from ingestor.bench.plots import draw_plots
from ingestor.bench.report import write_report
from ingestor.bench.rungs import Results
from ingestor.bench.site import Store
from ingestor.bench.stages import measure_stages
from ingestor.commands.local_site import local_site
from ingestor.schema.spec import IndexName, SchemaSpec

_STORES: tuple[tuple[str, str, IndexName], ...] = (
    ("bench", "bench", "SeriesTime"),
    ("bench-brin", "bench_brin", "TimeBrin"),
)
"""Instance, schema and index of each; a given database gets both schemas."""


def bench(
    pairs: Annotated[int, typer.Option(min=1, help="Interleaved pairs of runs; 9 for figures to quote.")] = 9,
    report: Annotated[
        Path | None, typer.Option(help="Write a page of Markdown here and its plots beside it; needs matplotlib.")
    ] = None,
) -> None:
    """Measure columns and rows against raw COPY, single calls against an empty server; takes minutes."""
    console = Console()
    results, machine = asyncio.run(_bench(pairs, console))
    console.print(_throughput(results))
    for wait in results.waits:
        console.print(f"{wait.name} {wait.median_s * 1000:.1f} ms (goal {wait.goal_s * 1000:.0f})", highlight=False)
    console.print(f"largest memory of a server: {results.peak_bytes / 1024**2:.0f} MiB", highlight=False)
    if report is not None:
        draw_plots(results, report.parent)
        report.write_text(write_report(results, measure_stages(), machine), encoding="utf-8")


async def _bench(pairs: int, console: Console) -> tuple[Results, list[tuple[str, str]]]:
    async with AsyncExitStack() as stack:
        stores = []
        for instance, schema, index in _STORES:
            spec = SchemaSpec(name=schema, index=index)
            site = await stack.enter_async_context(local_site(instance, console, spec))
            stores.append(Store(index, schema, site.admin_url, site.writer_url))
        machine = await describe_machine(stores[0].admin_url)
        results = await climb(
            stores, os.environ, pairs, lambda number: console.print(f"pair {number} of {pairs}", highlight=False)
        )
    return results, machine


def _throughput(results: Results) -> Table:
    table = Table(title=f"medians of {results.pairs} interleaved pairs")
    for name in ("path", "points/s", "limit alone", "limit beside a parked client", "ratio to the latter", "goal"):
        table.add_column(name, justify="left" if name == "path" else "right")
    for rung in results.rungs:
        rates = (f"{rung.median(figure):,.0f}" for figure in ("rate", "limit", "shared_limit"))
        table.add_row(rung.name, *rates, f"{rung.ratio:.2f}", f"{rung.goal:.2f}" if rung.goal else "")
    return table
