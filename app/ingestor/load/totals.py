"""The counts of one phase of a run; every point that was sent is in exactly one of them once the phase is over."""

from dataclasses import dataclass, field

from ingestor.client.sender import Outcome, Verdict
from ingestor.errors import joined
from ingestor.load.histogram import LatencyHistogram
from ingestor.load.pauses import Pauses


@dataclass(slots=True)
class Failure:
    """Points that ended with one gRPC status, and the text that the first of them got."""

    points: int
    requests: int
    message: str


@dataclass(slots=True)
class Totals:
    """What became of the points: ``sent = acked + rejected + refused + given_up + unanswered`` at the end.

    ``acked`` contains ``duplicate``: points that the server knew to be stored already. ``unanswered`` points were
    in flight when the run was interrupted; whether they are stored is unknown.
    """

    sent_points: int = 0
    acked_points: int = 0
    duplicate_points: int = 0
    rejected_points: int = 0
    unanswered_points: int = 0
    answered_requests: int = 0
    retries: int = 0
    refused: dict[str, Failure] = field(default_factory=dict)
    given_up: dict[str, Failure] = field(default_factory=dict)
    first_rejection: str = ""
    last_trouble: str = ""
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    pauses: Pauses = field(default_factory=Pauses)

    @property
    def refused_points(self) -> int:
        """Return the points that the server refused for good."""
        return sum(failure.points for failure in self.refused.values())

    @property
    def given_up_points(self) -> int:
        """Return the points whose requests had no answer in time; whether they are stored is unknown."""
        return sum(failure.points for failure in self.given_up.values())

    @property
    def settled_points(self) -> int:
        """Return the points whose fate is known or given up."""
        return self.acked_points + self.rejected_points + self.refused_points + self.given_up_points

    def retried(self, status: str, message: str) -> None:
        """Count one retry and the status that made it necessary."""
        self.retries += 1
        self.last_trouble = joined(status, message)

    def settle(self, points: int, outcome: Outcome, latency_s: float) -> None:
        """Count the end of a request of ``points`` points; only answers OK have a latency."""
        if outcome.verdict is not Verdict.ACKED:
            failures = self.refused if outcome.verdict is Verdict.REFUSED else self.given_up
            failure = failures.setdefault(outcome.status, Failure(0, 0, outcome.message))
            failure.points += points
            failure.requests += 1
            self.last_trouble = joined(outcome.status, outcome.message)
            return
        self.answered_requests += 1
        self.acked_points += outcome.accepted_points
        self.rejected_points += outcome.rejected_points
        self.duplicate_points += outcome.accepted_points if outcome.duplicate else 0
        self.first_rejection = self.first_rejection or outcome.first_rejection
        self.latencies.record(latency_s)
