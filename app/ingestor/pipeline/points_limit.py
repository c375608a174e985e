"""The limit on points per second that an administrator may set."""

from collections.abc import Callable

from ingestor.errors import LimitError


class PointsLimit:
    """A bucket of one second's points. A larger request goes into debt, so that it passes at all."""

    def __init__(self, points_per_s: float, clock: Callable[[], float]) -> None:
        self._rate = points_per_s
        self._clock = clock
        self._tokens = points_per_s
        self._filled_at = clock()

    def take(self, points: int) -> None:
        """Count points in; a rate of 0 is no limit.

        Raises:
            LimitError: the last second's points are used up; it says when there is room again.
        """
        if not self._rate:
            return
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens <= 0:
            wait_s = (1 - self._tokens) / self._rate
            raise LimitError("too many points per second", reason="points_limit", retry_after_s=wait_s)
        self._tokens -= points
