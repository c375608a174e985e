"""The counters that add up: received = committed + duplicate + rejected + refused + abandoned + held.

``refused`` are points of requests that were received and then answered by an error, so their sender knows; requests
refused at the door are never decoded and are counted as requests only. Runs on the event loop alone: no locks.
"""

from collections import Counter
from collections.abc import Mapping

from ingestor.errors import CommitUnknownError, PermanentError
from ingestor.pipeline.held import Held
from ingestor.storage.contract import Duplicate, Settled, Stored


class Accounting:
    """Points by what became of them, since the process started."""

    def __init__(self) -> None:
        self.received = 0
        self.committed = 0
        self.duplicate = 0
        self.refused = 0
        self.abandoned = 0
        self.rejected: Counter[str] = Counter()

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Return the points that have an outcome, rejected ones apart."""
        return {
            "committed": self.committed,
            "duplicate": self.duplicate,
            "refused": self.refused,
            "abandoned": self.abandoned,
        }

    def receive(self, points: int) -> None:
        """Count points that are held from now on."""
        self.received += points

    def reject(self, reasons: Mapping[str, int]) -> None:
        """Count a request of which no point is valid: received and rejected at once."""
        self.received += sum(reasons.values())
        self.rejected.update(reasons)

    def settle(self, held: Held, outcome: Settled) -> None:
        """Count the outcome of a held request and of those that waited along."""
        if isinstance(outcome, Stored):
            self.committed += outcome.accepted
            if held.rejected:
                self.rejected.update(held.rejected)
            if outcome.rejected:
                self.rejected.update(outcome.rejected)
            self.duplicate += held.repeats
        elif isinstance(outcome, Duplicate):
            self.duplicate += held.points
        elif held.part.answered and isinstance(outcome.error, CommitUnknownError):
            self.abandoned += held.points
        elif held.part.answered and isinstance(outcome.error, PermanentError):
            self.rejected[outcome.error.reason] += held.received
            self.duplicate += held.repeats
        else:
            self.refused += held.points

    def abandon(self, held: Held) -> None:
        """Count buffered points that are given up at a forced exit."""
        if held.part.answered:
            self.abandoned += held.points
        else:
            self.refused += held.points
