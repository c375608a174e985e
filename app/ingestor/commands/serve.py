"""``ingestor serve``: run the server until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import signal

import typer
import uvloop

from ingestor.config import Settings, load_settings
from ingestor.runtime import Runtime
from ingestor.telemetry.logging import configure_logging

logger = logging.getLogger(__name__)

EXIT_FORCED = 130
"""Exit code where a second signal cut the drain short."""


def serve() -> None:
    """Take metrics over gRPC and store them in TimescaleDB; settings are INGESTOR_* variables."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    raise typer.Exit(uvloop.run(_serve(settings)))


async def _serve(settings: Settings) -> int:
    return await Runtime(settings).run(stop_on_signals())


_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What ends a process that does not heed it, points in memory included. SIGQUIT stays as it is: it asks for a core."""


def stop_on_signals() -> asyncio.Event:
    """Return an event that the first signal of those sets; a second one ends the process at once.

    SIGHUP stays ignored if the parent ignores it, as ``nohup`` does.
    """
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            logger.error("second signal, exiting at once: points held in memory are lost")
            os._exit(EXIT_FORCED)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in _ENDING:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, on_signal)
    return stop
