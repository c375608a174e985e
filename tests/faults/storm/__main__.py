"""``python -m faults.storm``: a storm of faults from a seed; exit code 1 where the contract did not hold."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from faults.storm.plan import default_plan, hostile_plan, short_plan
from faults.storm.pooler import MODES
from faults.storm.report import Report
from faults.storm.sabotage import WRITERS
from faults.storm.storm import run_storm
from ingestor.local import default_cache

LONG_MINUTES = 60.0
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    seed: Annotated[int | None, typer.Option(help="The storm to run again; without it a new one, printed.")] = None,
    points: Annotated[int, typer.Option(min=1_000, help="Points to store, at least.")] = 600_000,
    minutes: Annotated[float, typer.Option(min=0, help="Least duration, with as many more faults.")] = 0.0,
    long: Annotated[bool, typer.Option("--long", help="An hour.")] = False,
    hostile: Annotated[bool, typer.Option("--hostile", help="Rules, locks and bad points above all.")] = False,
    short: Annotated[bool, typer.Option("--short", help="What `make test` runs.")] = False,
    sabotage: Annotated[
        str, typer.Option(help="Break the servers: ledger (off), ack (before COMMIT), silence (of refusals).")
    ] = "",
    pooler: Annotated[str, typer.Option(help="A PgBouncer before each server: session or transaction.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file as well.")] = None,
) -> None:
    """Prove that every acked point is stored exactly once, whatever fails."""
    if sabotage not in ("", *WRITERS):
        raise typer.BadParameter(f"one of {', '.join(WRITERS)}", param_hint="--sabotage")
    if pooler not in ("", *MODES):
        raise typer.BadParameter(f"one of {', '.join(MODES)}", param_hint="--pooler")
    seed = int.from_bytes(os.urandom(3), "big") if seed is None else seed
    if short or hostile:
        plan = short_plan(seed) if short else hostile_plan(seed)
    else:
        plan = default_plan(seed, points, LONG_MINUTES if long and not minutes else minutes)
    if pooler:
        plan = replace(plan, pooler=pooler, pooled=plan.servers)

    async def run() -> Report:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        cache = default_cache(os.environ.get("XDG_CACHE_HOME"))
        return await run_storm(plan, cache, logs, typer.echo, sabotage=sabotage)

    logs = Path(tempfile.mkdtemp(prefix="storm-"))
    report = None
    try:
        report = asyncio.run(run())
    finally:
        if report is not None and report.passed:
            shutil.rmtree(logs)
        else:
            typer.echo(f"the servers' logs are in {logs}")
    for line in report.lines():
        typer.echo(line)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=2))
    raise typer.Exit(0 if report.passed else 1)


if __name__ == "__main__":
    app()
