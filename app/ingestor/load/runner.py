"""Run a load from its options to its report: synthetic points first, then this machine's metrics."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from rich.console import Console

from ingestor.client.clock import Clock
from ingestor.client.sender import Sender
from ingestor.load.dispatch import Dispatcher
from ingestor.load.feeds import DueRequest, machine_feed, synthetic_feed
from ingestor.load.options import LoadOptions
from ingestor.load.progress import show_progress
from ingestor.load.report import LoadReport, PhaseReport
from ingestor.load.totals import Totals

Feed = Callable[[LoadOptions, Clock], AsyncGenerator[DueRequest, None]]


@dataclass(frozen=True, slots=True)
class _Phase:
    """One kind of points; ``total_points`` is None where there is no end."""

    name: str
    service_name: str
    feed: Feed
    total_points: int | None


async def run_load(
    options: LoadOptions,
    console: Console | None = None,
    *,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
) -> LoadReport:
    """Send what ``options`` ask for and return what became of it.

    Progress goes to ``console`` (None: nowhere). Setting ``stop`` ends the run early: nothing more is sent, and what
    is in flight has ``options.drain_s`` to be answered. Signals and showing the report are the caller's business.
    """
    clock = clock or Clock()
    stop = stop or asyncio.Event()
    end_s = clock.monotonic_s() + options.duration_s if options.duration_s else None
    phases: list[PhaseReport] = []
    async with _sender(options, clock) as sender:
        for phase in _planned(options):
            if stop.is_set() or (end_s is not None and clock.monotonic_s() >= end_s):
                break
            totals = Totals()
            requests = phase.feed(options, clock)
            start_s = clock.monotonic_s()
            async with show_progress(console, phase.name, phase.total_points, totals, clock):
                dispatcher = Dispatcher(sender, totals, slots=options.slots, drain_s=options.drain_s, clock=clock)
                left_s = None if end_s is None else end_s - start_s
                await dispatcher.run(requests, stop, left_s)
            phases.append(PhaseReport(phase.name, phase.service_name, clock.monotonic_s() - start_s, totals))
    return LoadReport(tuple(phases), interrupted=stop.is_set())


def _sender(options: LoadOptions, clock: Clock) -> Sender:
    return Sender(options.target, in_flight=options.slots, give_up_after_s=options.give_up_after_s, clock=clock)


def _planned(options: LoadOptions) -> list[_Phase]:
    planned = []
    if options.points:
        planned.append(_Phase("synthetic", options.synthetic_service, synthetic_feed, options.points))
    if options.machine:
        planned.append(_Phase("machine", options.machine_service, machine_feed, None))
    return planned
