"""``python -m faults.storm``: strike servers and database by a schedule, then compare acked and stored points."""

import os

# gRPC's handlers around fork() hang or crash a child now and then, and a storm starts PostgreSQL beside gRPC's threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from faults.storm.plan import DEFAULT_COUNTS, SHORT_COUNTS, StormOptions
from faults.storm.storm import Result, run_storms
from ingestor.local import default_cache

LONG_MINUTES = 60.0
_LISTED = 10


def main(
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same requests and strikes.")] = 1,
    points: Annotated[int, typer.Option(min=1, help="Points of one storm.")] = 500_000,
    servers: Annotated[int, typer.Option(min=2, max=9)] = 3,
    clients: Annotated[int, typer.Option(min=1, max=64)] = 8,
    long: Annotated[bool, typer.Option("--long", help="Storm after storm for an hour.")] = False,
    short: Annotated[bool, typer.Option("--short", help="Few strikes, for a quick look.")] = False,
    sabotage: Annotated[
        str,
        typer.Option(help="`ledger`: servers without one, points double; `ack`: acks before COMMIT, points are lost."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a storm of faults; exit code 1 where a point was lost or doubled, or anything else was wrong."""
    counts = dict(SHORT_COUNTS if short else DEFAULT_COUNTS)
    options = StormOptions(seed, points, servers, clients, LONG_MINUTES if long else 0.0, sabotage, counts)
    console = Console(stderr=as_json)
    cache = default_cache(os.environ.get("XDG_CACHE_HOME"))
    results = asyncio.run(run_storms(options, cache, lambda text: console.print(text, highlight=False)))
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=2))
    else:
        for result in results:
            _show(result, console)
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


def _show(result: Result, console: Console) -> None:
    table = Table(title=f"seed {result.seed}: {result.points:,} points in {result.seconds:.0f} s")
    table.add_column("what")
    table.add_column("how often", justify="right")
    for kind, count in result.struck.items():
        table.add_row(kind, f"{count}")
    table.add_section()
    for name, count in sorted(result.told.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    for name, value in asdict(result.verdict).items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    table.add_row("largest memory of a server", f"{result.peak_bytes / 1024**2:.0f} MiB")
    table.add_row("scrapes in which the accounts balance", f"{result.scrapes:,}")
    console.print(table)
    for violation in result.violations[:_LISTED]:
        console.print(f"wrong: {violation}", highlight=False)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
