"""Tell of trouble: to the caller's functions each time, to the log every few seconds with counts."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.clock import Clock
from ingestor.client.encode import Request
from ingestor.client.failures import Failure, RejectedPoint
from ingestor.client.sender import Outcome
from ingestor.points import Series

LOG_INTERVAL_S = 10.0
"""Least time between two lines of one kind, in seconds."""

OnFailure = Callable[[Failure], None]
"""Called with each request that failed for good."""

OnRejected = Callable[[int, Sequence[RejectedPoint]], None]
"""Called for each request with rejected points: how many, and the first ones (100 at most)."""

logger = logging.getLogger(__name__)


class Reporter:
    """Calls ``on_failure`` and ``on_rejected`` and writes the log."""

    def __init__(self, on_failure: OnFailure | None, on_rejected: OnRejected | None, clock: Clock) -> None:
        for function in (on_failure, on_rejected):
            if inspect.iscoroutinefunction(function) or not (function is None or callable(function)):
                raise TypeError(f"on_failure and on_rejected must be plain functions, got {function!r}")
        self._on_failure = on_failure
        self._on_rejected = on_rejected
        self._retried = _Line(logging.WARNING, "requests are being retried", clock)
        self._rejected = _Line(logging.WARNING, "points were rejected", clock)
        self._failed = _Line(logging.ERROR, "points failed", clock)

    def retried(self, status: str, message: str) -> None:
        """Tell of a retry."""
        self._retried.add(1, f"{status}: {message}")

    def failed(self, failure: Failure) -> None:
        """Tell of a request that failed for good."""
        self._failed.add(failure.points, str(failure))
        if self._on_failure is not None:
            with _guarded():
                self._on_failure(failure)

    def rejected(self, request: Request, outcome: Outcome) -> None:
        """Tell of the rejected points of an answered request."""
        self._rejected.add(outcome.rejected_points, outcome.first_rejection)
        if self._on_rejected is not None:
            with _guarded():
                self._on_rejected(outcome.rejected_points, _rejected_points(request, outcome))

    def close(self) -> None:
        """Write what was held back."""
        for write in self.held_back():
            write()

    def held_back(self) -> list[Callable[[], None]]:
        """Return what writes the lines that are held back; they know nothing of the caller's functions."""
        return [line.write for line in (self._retried, self._rejected, self._failed)]


@contextmanager
def _guarded() -> Iterator[None]:
    # A caller's function that fails must not end the worker that called it: other points depend on it.
    try:
        yield
    except Exception:
        logger.exception("a function that the client was given failed")


class _Line:
    """A log line that stands for all events since the last one."""

    def __init__(self, level: int, message: str, clock: Clock) -> None:
        self._level, self._message, self._clock = level, message, clock
        self._count, self._last = 0, ""
        self._due_s = clock.monotonic_s()

    def add(self, count: int, last: str) -> None:
        self._count, self._last = self._count + count, last
        if self._clock.monotonic_s() >= self._due_s:
            self.write()

    def write(self) -> None:
        if self._count:
            data = {"count": self._count, "last": self._last}
            logger.log(self._level, "%s: %d, the last: %s", self._message, self._count, self._last, extra=data)
            self._count, self._due_s = 0, self._clock.monotonic_s() + LOG_INTERVAL_S


def _rejected_points(request: Request, outcome: Outcome) -> list[RejectedPoint]:
    """Return the points that the answer names, read back from the request's one block of columns."""
    (columns,) = pb.WriteRequest.FromString(request.payload).columns
    return [
        RejectedPoint(
            _series(columns.series[columns.series_index[rejection.point_index]]),
            columns.time_unix_nano[rejection.point_index],
            columns.value[rejection.point_index],
            rejection.reason,
            rejection.message,
        )
        for rejection in outcome.rejections
        if rejection.point_index < len(columns.value)
    ]


def _series(message: pb.Series) -> Series:
    labels = tuple((label.name, label.value) for label in message.labels)
    return Series(message.service_name, message.metric_name, labels)
