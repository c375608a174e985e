"""What became of every point that was recorded; the counts add up at any moment."""

from dataclasses import dataclass

from ingestor.client.failures import Failure


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Counts since the client was made: ``recorded = acked + rejected + failed + pending``.

    ``acked_points`` contains ``duplicate_points``: those that an earlier attempt had stored. ``pending_points`` wait,
    or are on their way, and take ``pending_bytes`` of memory. ``requests`` have ended; ``retries`` were attempts beyond
    the first ones.
    """

    recorded_points: int
    acked_points: int
    duplicate_points: int
    rejected_points: int
    failed_points: int
    pending_points: int
    pending_bytes: int
    requests: int
    retries: int


FailureCounts = dict[tuple[str, bool], Failure]


class Accounts:
    """The counters, and failures by cause until somebody was told of them."""

    def __init__(self) -> None:
        self.recorded_points = 0
        self.acked_points = 0
        self.duplicate_points = 0
        self.rejected_points = 0
        self.failed_points = 0
        self.requests = 0
        self.retries = 0
        self._failures: FailureCounts = {}
        self._raised: FailureCounts = {}

    @property
    def pending_points(self) -> int:
        """Return the points whose fate is open."""
        return self.recorded_points - self.acked_points - self.rejected_points - self.failed_points

    def answered(self, accepted_points: int, rejected_points: int, *, duplicate: bool) -> None:
        """Count a request that was answered."""
        self.requests += 1
        self.acked_points += accepted_points
        self.duplicate_points += accepted_points if duplicate else 0
        self.rejected_points += rejected_points

    def failed(self, failure: Failure) -> None:
        """Count a request that failed."""
        self.requests += 1
        self.failed_points += failure.points
        cause = failure.status, failure.may_be_stored
        self._failures[cause] = _sum(self._failures.get(cause), failure)

    def raised_failures(self) -> FailureCounts:
        """Return the failures that were raised up to now: the start from which a flush counts."""
        return dict(self._raised)

    def raise_failures_since(self, start: FailureCounts) -> list[Failure]:
        """Return the failures since ``start`` and take them as raised; flushes that overlap are all told."""
        self._raised = dict(self._failures)
        news = (_difference(failure, start.get(cause)) for cause, failure in self._failures.items())
        return [failure for failure in news if failure.requests]

    def stats(self, pending_bytes: int) -> ClientStats:
        """Return the counts as they are now."""
        return ClientStats(
            self.recorded_points,
            self.acked_points,
            self.duplicate_points,
            self.rejected_points,
            self.failed_points,
            self.pending_points,
            pending_bytes,
            self.requests,
            self.retries,
        )


def _sum(known: Failure | None, new: Failure) -> Failure:
    if known is None:
        return new
    return Failure(
        known.status, known.points + new.points, known.requests + new.requests, known.message, known.may_be_stored
    )


def _difference(now: Failure, before: Failure | None) -> Failure:
    if before is None:
        return now
    return Failure(
        now.status, now.points - before.points, now.requests - before.requests, now.message, now.may_be_stored
    )
