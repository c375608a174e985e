"""Show how far a phase is: a bar on a terminal, a line now and then elsewhere, nothing without a console."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ingestor.client.clock import Clock
from ingestor.load.totals import Totals

_BAR_PERIOD_S = 0.25
_LINE_PERIOD_S = 30.0


@asynccontextmanager
async def show_progress(
    console: Console | None, name: str, total_points: int | None, totals: Totals, clock: Clock
) -> AsyncIterator[None]:
    """Show ``totals`` while the body runs; ``total_points`` is None where there is no end."""
    if console is None:
        yield
        return
    shown = _show_bar if console.is_terminal else _show_lines
    async with asyncio.TaskGroup() as group:
        showing = group.create_task(shown(console, name, total_points, totals, clock))
        try:
            yield
        finally:
            showing.cancel()


async def _show_bar(console: Console, name: str, total_points: int | None, totals: Totals, clock: Clock) -> None:
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("sent {task.fields[sent]:,} acked {task.completed:,}"),
        TextColumn("{task.fields[rate]:,.0f} points/s"),
        TimeElapsedColumn() if total_points is None else TimeRemainingColumn(),
        TextColumn("{task.fields[trouble]}", style="yellow"),
    ]
    start_s = clock.monotonic_s()
    # Refreshed from here: rich's own thread would compete with what is measured.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task(name, total=total_points, sent=0, rate=0.0, trouble="")
        try:
            while True:
                await clock.sleep(_BAR_PERIOD_S)
                _update(progress, task, totals, clock.monotonic_s() - start_s)
        finally:
            _update(progress, task, totals, clock.monotonic_s() - start_s)


def _update(progress: Progress, task: TaskID, totals: Totals, elapsed_s: float) -> None:
    trouble = f"{totals.retries:,} retries, last {escape(totals.last_trouble[:60])}" if totals.last_trouble else ""
    progress.update(
        task,
        completed=totals.acked_points,
        sent=totals.sent_points,
        rate=totals.acked_points / elapsed_s if elapsed_s > 0 else 0.0,
        trouble=trouble,
        refresh=True,
    )


async def _show_lines(console: Console, name: str, total_points: int | None, totals: Totals, clock: Clock) -> None:
    end = "" if total_points is None else f" of {total_points:,}"
    while True:
        await clock.sleep(_LINE_PERIOD_S)
        trouble = f", {totals.retries:,} retries, last {escape(totals.last_trouble)}" if totals.last_trouble else ""
        console.print(f"{name}: {totals.acked_points:,}{end} points acked{trouble}")
