"""``ingestor load``: send metrics to a server and say what became of them."""

import asyncio
import json
import secrets
import signal
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from ingestor.client.encode import Form
from ingestor.config import AckName
from ingestor.errors import ConfigurationError
from ingestor.load.options import LoadOptions
from ingestor.load.report import LoadReport
from ingestor.load.runner import run_load
from ingestor.points import Ack

DEFAULT_POINTS = 1_000_000


def load(
    target: Annotated[str, typer.Option(help="Server, host:port or any gRPC name.")] = "localhost:50051",
    form: Annotated[Form, typer.Option(help="How points travel.")] = Form.COLUMNS,
    ack: Annotated[AckName | None, typer.Option(help="Acknowledgement to ask for; else the server's default.")] = None,
    points: Annotated[
        int | None,
        typer.Option(
            "--points",
            "--burst",
            help="Synthetic points, sent first; 1,000,000, none with --machine.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[int, typer.Option(help="Synthetic series over which the points are spread.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic values.")] = 1,
    machine: Annotated[bool, typer.Option("--machine", help="Send this machine's metrics until stopped.")] = False,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds between readings of --machine.")] = 10.0,
    duration_s: Annotated[
        float, typer.Option("--duration", help="Seconds after which to stop sending; 0 never.")
    ] = 0.0,
    rate: Annotated[float, typer.Option(help="Synthetic points per second; 0 as fast as it goes.")] = 0.0,
    in_flight: Annotated[int, typer.Option(help="Requests in flight; 0 means 8 for columns, else 64.")] = 0,
    batch: Annotated[int, typer.Option(help="Points per request; 0 means 10,000 for columns, 1,000 for rows.")] = 0,
    give_up_after_s: Annotated[float, typer.Option("--give-up-after", help="Seconds to retry one request.")] = 60.0,
    service_name: Annotated[str, typer.Option(help="Service of the points; else the host's name or synthetic.")] = "",
    unique: Annotated[
        bool, typer.Option("--unique", help="End the synthetic points' service in a random suffix of this run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Send this machine's metrics or synthetic series to an ingestor, and say what became of them.

    Every request has its own idempotency key and is retried with it. Exit code 1: points were given up or refused,
    or nothing was acknowledged.
    """
    try:
        options = LoadOptions(
            target=target,
            form=form,
            ack=Ack[ack.upper()] if ack else None,
            points=(0 if machine else DEFAULT_POINTS) if points is None else points,
            series=series,
            seed=seed,
            machine=machine,
            interval_s=interval_s,
            duration_s=duration_s,
            rate=rate,
            in_flight=in_flight,
            points_per_request=batch,
            give_up_after_s=give_up_after_s,
            service_name=service_name,
            run=secrets.token_hex(4) if unique else "",
        )
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_run_until_interrupted(options))
    _print(report, as_json)
    raise typer.Exit(report.exit_code)


async def _run_until_interrupted(options: LoadOptions) -> LoadReport:
    """Stop in order at the first SIGINT or SIGTERM; a second one ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    return await run_load(options, Console(stderr=True), stop=stop)


def _print(report: LoadReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_json()))
        return
    console = Console()
    console.print(report.table())
    for line in report.remarks():
        console.print(line, soft_wrap=True)
