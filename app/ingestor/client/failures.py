"""What the client raises and reports: points that did not reach the database, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.errors import IngestorError
from ingestor.points import Series


@dataclass(frozen=True, slots=True)
class Failure:
    """Points whose requests ended without being stored, or without anybody knowing whether they are.

    ``status`` is the gRPC status of the last attempt, or one of ours: ``CLOSED``, the client was left before there was
    an answer; ``MISCOUNTED``, the server's answer accounts for another number of points; ``CLIENT_FAULT``, a bug here.
    ``message`` belongs to the first such request. Where ``may_be_stored`` is False the points are certainly not stored.
    """

    status: str
    points: int
    requests: int
    message: str
    may_be_stored: bool

    def __str__(self) -> str:
        message = f" ({self.message})" if self.message else ""
        stored = "may be stored" if self.may_be_stored else "not stored"
        return f"{self.points} points in {self.requests} requests: {self.status}{message}, {stored}"


@dataclass(frozen=True, slots=True)
class RejectedPoint:
    """A point that the server can't store as it is; ``reason`` is a stable identifier, ``message`` is for people."""

    series: Series
    time_ns: int
    value: float
    reason: str
    message: str


class ClientClosedError(IngestorError):
    """The client is used outside its ``async with`` block; the point was not recorded."""


class ForeignUseError(IngestorError):
    """A client is used by another thread, process or event loop than the one that entered it; nothing was done."""


class ClientFullError(IngestorError):
    """There was no room in time; ``recorded_points`` of the call's points, its first ones, are recorded."""

    def __init__(self, timeout_s: float, recorded_points: int = 0, last_trouble: str = "") -> None:
        cause = last_trouble or "the server is away, or too slow"
        super().__init__(f"no room for more points within {timeout_s:g} s: {cause}")
        self.recorded_points = recorded_points


class FlushTimeoutError(IngestorError):
    """Not everything was answered in time; the client goes on sending the ``pending_points``."""

    def __init__(self, timeout_s: float, pending_points: int, last_trouble: str = "") -> None:
        cause = f": {last_trouble}" if last_trouble else ""
        super().__init__(
            f"{pending_points} points were not answered within {timeout_s:g} s, and are still being sent{cause}"
        )
        self.pending_points = pending_points


class PointsFailedError(IngestorError):
    """Some points failed for good since failures were last raised; ``failures`` has one entry for each cause."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__("; ".join(map(str, failures)))
        self.failures = tuple(failures)
