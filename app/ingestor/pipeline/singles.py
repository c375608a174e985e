"""Points of single calls whose callers have their answer, held together: alone each took 30 µs more of the server.

Only points without a key, of series that the database has: nothing that may happen to one of them, a limit on new
series for one, touches the others.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from ingestor.pipeline.assemble import OnePoint
from ingestor.pipeline.held import Held
from ingestor.points import Points, SeriesTable
from ingestor.storage.contract import Part

GATHER_S = 0.02
"""Longest time that a point waits for others; the lazy flush interval comes on top."""
MAX_POINTS = 256
MAX_SPREAD_US = 3_600_000_000
"""Most microseconds between the first point gathered and any other, so that they touch two chunks at most."""


class Singles:
    """Gathers points and hands them on as one held request, to ``hold``; ``clock`` gives its time of receipt."""

    def __init__(self, hold: Callable[[Held], None], clock: Callable[[], float]) -> None:
        self._hold = hold
        self._clock = clock
        self._table: SeriesTable | None = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._points: list[OnePoint] = []

    def add(self, table: SeriesTable, point: OnePoint) -> None:
        """Take a point in whose caller is told that it is buffered."""
        if self._points and not self._fits(table, point):
            self.seal()
        if not self._points:
            self._table, self._since = table, self._clock()
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self.seal)
        self._points.append(point)
        if len(self._points) == MAX_POINTS:
            self.seal()

    def seal(self) -> None:
        """Hand on what was gathered."""
        if self._table is None or self._timer is None:
            return
        slots, times_us, values, _, _ = zip(*self._points, strict=True)
        table = self._table
        points = Points(
            table,
            np.array(slots, np.int32),
            np.array(times_us, np.int64),
            np.array(values, np.float64),
            min(times_us),
            max(times_us),
        )
        self._timer.cancel()
        self._table, self._timer, self._points = None, None, []
        self._hold(Held(Part(points, None, 0, answered=True), {}, self._since))

    def _fits(self, table: SeriesTable, point: OnePoint) -> bool:
        return table is self._table and abs(point.time_us - self._points[0].time_us) <= MAX_SPREAD_US
