"""A sender without a network: keeps what it was given and ends each request as scripted."""

import asyncio
from collections import deque
from collections.abc import Iterator

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client import Client
from ingestor.client.attempts import Attempts
from ingestor.client.encode import Request
from ingestor.client.sender import Outcome, Verdict

Identity = tuple[str, str, tuple[tuple[str, str], ...]]
SentPoint = tuple[Identity, int, float]
"""A point's identity, its nanoseconds, its value."""


class FakeSender:
    """Answers at once, after ``takes_s`` or, while ``hold`` is in force, not at all."""

    def __init__(self, *, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.requests: list[Request] = []
        self.ends: deque[Outcome | Exception] = deque()
        self.in_flight = self.most_in_flight = 0
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """Answer nothing until ``release``."""
        self._free.clear()

    def release(self) -> None:
        """Answer what waits and what comes."""
        self._free.set()

    def end_next(self, *ends: Outcome | Exception) -> None:
        """Let the next requests end so."""
        self.ends.extend(ends)

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        """Send ``request`` nowhere."""
        self.requests.append(request)
        end = self.ends.popleft() if self.ends else Outcome(Verdict.ACKED, accepted_points=request.points)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._free.wait()
            await asyncio.sleep(self.takes_s)
        finally:
            self.in_flight -= 1
        if isinstance(end, Exception):
            raise end
        return end

    @property
    def messages(self) -> list[pb.WriteRequest]:
        """The requests as a server reads them."""
        return [pb.WriteRequest.FromString(request.payload) for request in self.requests]

    @property
    def points(self) -> list[SentPoint]:
        """All points in the order in which they were sent."""
        return [point for message in self.messages for point in _points(message)]


def _points(message: pb.WriteRequest) -> Iterator[SentPoint]:
    for columns in message.columns:
        identities = [
            (one.service_name, one.metric_name, tuple((label.name, label.value) for label in one.labels))
            for one in columns.series
        ]
        for index, time_ns, value in zip(columns.series_index, columns.time_unix_nano, columns.value, strict=True):
            yield identities[index], time_ns, value


def check_books(client: Client) -> None:
    """Assert that every point is in exactly one place."""
    stats = client.stats()
    ended = stats.acked_points + stats.rejected_points + stats.failed_points
    assert stats.recorded_points == ended + stats.pending_points
