"""When there will be room again: what is held over how fast it was stored lately."""

_WEIGHT = 0.2
"""Share of the newest flush in the smoothed rate: ten flushes make nine tenths of it."""


class DrainEstimate:
    """A smoothed rate of one lane's flushes, in points per second; an outage leaves it as it was."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._points_per_s = 0.0
        self.flushes = 0

    def observe(self, points: int, seconds: float) -> None:
        """Note one flush."""
        self.flushes += 1
        rate = points / max(seconds, 1e-6)
        self._points_per_s += (rate - self._points_per_s) * (_WEIGHT if self._points_per_s else 1.0)

    def wait_s(self, points: int) -> float:
        """Return how long ``points`` take to store, in seconds; 0 before the first flush."""
        return points / (self._points_per_s * self._lanes) if self._points_per_s else 0.0
