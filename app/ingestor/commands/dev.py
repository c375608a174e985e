"""``ingestor dev``: the whole product on this machine, with real metrics flowing; Ctrl-C stops it."""

import asyncio
import signal
import subprocess
import sys
from typing import Annotated

import asyncpg
import typer
import uvloop
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from ingestor.api.analytics import SERVICE
from ingestor.commands.foreground import foreground
from ingestor.commands.local_site import LocalSite, local_site
from ingestor.commands.serve import stop_on_signals
from ingestor.config import load_settings
from ingestor.load.options import LoadOptions
from ingestor.local.tether import tie_process
from ingestor.runtime import Runtime
from ingestor.schema.spec import SchemaSpec
from ingestor.telemetry.logging import configure_logging

NEWEST = """
SELECT time, service_name, metric_name, value, labels FROM analytics.metrics
WHERE time > now() - interval '1 hour' ORDER BY time DESC LIMIT 10
"""
_FIRST = asyncio.FIRST_COMPLETED
_LOAD_STOP_S = 3.0
_QUERY_TIMEOUT_S = 30.0
_SHUTDOWN_GRACE_S = 9.0


def dev(
    burst: Annotated[int, typer.Option(min=0, help="Synthetic points to send first; 0 sends none.")] = 1_000_000,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds between readings of this machine.")] = 5.0,
) -> None:
    """Run TimescaleDB, the schema and the server here, and stream this machine's metrics into it."""
    LoadOptions(points=burst, machine=True, interval_s=interval_s)  # refused here, before anything starts
    with foreground():
        code = uvloop.run(_dev(burst, interval_s, Console()))
    raise typer.Exit(code)


async def _dev(burst: int, interval_s: float, console: Console) -> int:
    configure_logging("console", "WARNING")
    async with local_site("dev", console, SchemaSpec()) as site:
        settings = load_settings(
            database_url=SecretStr(site.writer_url),
            grpc_host="127.0.0.1",
            http_host="127.0.0.1",
            shutdown_grace_s=_SHUTDOWN_GRACE_S,
        )
        runtime = Runtime(settings)
        stop = stop_on_signals()
        server = asyncio.create_task(runtime.run(stop))
        ended = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([server, asyncio.create_task(runtime.serving.wait())], return_when=_FIRST)
            if not server.done():
                _introduce(console, site, runtime)
                if burst:
                    await _load(runtime, ended, "--burst", str(burst))
                    await _show_newest(console, site.reader_url)
            if not server.done() and not stop.is_set():
                console.print("[bold]Streaming this machine's metrics; Ctrl-C stops.[/bold]")
                await _load(runtime, ended, "--machine", "--interval", str(interval_s))
            await asyncio.wait([server, ended], return_when=_FIRST)
        finally:
            stop.set()
            code = await server
    console.print("Stopped. The data stay for the next run.")
    return code


def _introduce(console: Console, site: LocalSite, runtime: Runtime) -> None:
    console.print(
        f"Serving gRPC on [bold]127.0.0.1:{runtime.grpc.port}[/bold],"
        f" metrics on [bold]http://127.0.0.1:{runtime.http.port}/metrics[/bold]"
    )
    console.print(
        f"Query:   psql '{site.reader_url}' -c 'SELECT * FROM metrics ORDER BY time DESC LIMIT 10'",
        soft_wrap=True,
        highlight=False,
    )
    console.print(
        f"Explore: grpcurl -plaintext 127.0.0.1:{runtime.grpc.port} describe {SERVICE}", soft_wrap=True, highlight=False
    )


async def _load(runtime: Runtime, ended: "asyncio.Task[bool]", *options: str) -> None:
    """Run ``ingestor load`` on this terminal until it ends or the server is told to stop."""
    target = f"127.0.0.1:{runtime.grpc.port}"
    command = [sys.executable, "-m", "ingestor", "load", "--target", target, *options]
    # Popen, for it uses vfork: uvloop forks, and gRPC complains of its threads. In a session of its own Ctrl-C does
    # not reach it, so that it is told once and prints its closing table.
    process = subprocess.Popen(command, start_new_session=True)  # noqa: ASYNC220, S603 - returns at once
    tether = tie_process(process.pid, signal.SIGTERM)
    loading = asyncio.create_task(asyncio.to_thread(process.wait))
    await asyncio.wait([loading, ended], return_when=_FIRST)
    if not loading.done():
        process.terminate()
        await asyncio.wait([loading], timeout=_LOAD_STOP_S)
    if not loading.done():
        process.kill()
        await loading
    tether.release()


async def _show_newest(console: Console, reader_url: str) -> None:
    connection = await asyncpg.connect(reader_url, timeout=_QUERY_TIMEOUT_S, command_timeout=_QUERY_TIMEOUT_S)
    try:
        rows = await connection.fetch(NEWEST)
    finally:
        connection.terminate()
    table = Table(title="newest rows of analytics.metrics")
    for name in ("time", "service_name", "metric_name", "value"):
        table.add_column(name, no_wrap=True, justify="right" if name == "value" else "left")
    table.add_column("labels")
    for row in rows:
        time, service, metric, value, labels = row.values()
        table.add_row(f"{time.astimezone():%H:%M:%S}", service, metric, f"{value:.6g}", labels)
    console.print(table)
