"""Send a request until it has an answer.

A retry sends the same bytes and therefore the same idempotency key, so the server stores the points once. A request
gets another key only where that of this machine's clock was refused and no attempt can have been stored.
"""

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.attempts import KEY_AHEAD, Attempts, Status, described
from ingestor.client.clock import Clock
from ingestor.client.connection import Answer, Connection
from ingestor.client.encode import Request
from ingestor.client.key_clock import KeyClock
from ingestor.propagation import inject

CALL_TIMEOUT_S = 30.0
"""Deadline of one attempt: longer than the server's own wait for a commit (20 s by default)."""

CALLS_PER_CONNECTION = 16
"""Calls that a server lets one connection have in flight by default; more need more connections."""

_RETRY_FLOOR_S = 0.01


class Verdict(Enum):
    """How a request ended: answered OK, refused for good, or without an answer until time was up."""

    ACKED = "acked"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one request; the counts are the server's, ``status`` and ``message`` those of the last attempt.

    Where it was not acked, ``may_be_stored`` says whether one of its attempts may have stored the points.
    """

    verdict: Verdict
    accepted_points: int = 0
    rejected_points: int = 0
    duplicate: bool = False
    first_rejection: str = ""
    rejections: Sequence[pb.Rejection] = ()
    status: str = "OK"
    message: str = ""
    may_be_stored: bool = False


class RequestSender(Protocol):
    """Sends one request to its end."""

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        """Send ``request`` until it is answered, refused for good, or time is up; keep ``attempts`` true."""


class Sender:
    """Connections to one target, enough for ``in_flight`` calls at once.

    ``give_up_after_s`` bounds the attempts and pauses of one request together. ``key_clock`` is corrected by refusals.
    """

    def __init__(
        self,
        target: str,
        *,
        in_flight: int = CALLS_PER_CONNECTION,
        give_up_after_s: float = 60.0,
        clock: Clock | None = None,
        key_clock: KeyClock | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._target = target
        self._connection_count = -(-in_flight // CALLS_PER_CONNECTION)
        self._give_up_after_s = give_up_after_s
        self._clock = clock or Clock()
        self._key_clock = key_clock or KeyClock(self._clock)
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def __aenter__(self) -> Self:
        self._connections = [Connection(self._target) for _ in range(self._connection_count)]
        self._turns = itertools.cycle(self._connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        """Send ``request`` until it is answered, refused for good, or time is up.

        It carries the trace context of its metadata, else that of the span it is sent in.
        """
        give_up_at_s = self._clock.monotonic_s() + self._give_up_after_s
        connection = next(self._turns)
        attempts.may_be_stored = False
        for attempt in itertools.count(1):
            timeout_s = min(CALL_TIMEOUT_S, max(give_up_at_s - self._clock.monotonic_s(), _RETRY_FLOOR_S))
            earlier_may_be_stored = attempts.may_be_stored
            answer = await connection.call(request, inject(request.metadata), timeout_s, attempts)
            if not isinstance(answer, Status):
                return _acked(request, answer)
            if answer.leaves_nothing:
                attempts.may_be_stored = earlier_may_be_stored
            status, next_request = self._next(request, answer, attempts)
            if next_request is None:
                verdict = Verdict.GIVEN_UP if attempts.may_be_stored else Verdict.REFUSED
                break
            request, pause_s = next_request, self._pause_s(attempt, status.advised_s)
            if self._clock.monotonic_s() + pause_s >= give_up_at_s:
                verdict = Verdict.GIVEN_UP
                break
            attempts.retried(status.code.name, status.message)
            await self._clock.sleep(pause_s)
        return Outcome(verdict, status=status.code.name, message=status.message, may_be_stored=attempts.may_be_stored)

    def _next(self, request: Request, status: Status, attempts: Attempts) -> tuple[Status, Request | None]:
        """Return what to say of ``status`` and what to send next, None where nothing can help."""
        if not status.refuses_key:
            return status, request if status.is_retryable else None
        server_unix_ms = status.server_unix_ms
        status = replace(status, message=f"{status.message}; {self._key_clock.compare(server_unix_ms)}")
        if server_unix_ms is None:
            return status, None
        self._key_clock.correct(server_unix_ms)
        if not attempts.may_be_stored:
            return status, request.with_key(self._key_clock.mint())
        # Another key could store the points twice. One that is ahead is taken once its time has come.
        return status, request if status.reason == KEY_AHEAD else None

    def _pause_s(self, attempt: int, advised_s: float | None) -> float:
        # What the server advises is spread by the server already.
        if advised_s is not None:
            return max(advised_s, _RETRY_FLOOR_S)
        return retry_delay_s(attempt) * self._jitter.uniform(0.5, 1.0)


def retry_delay_s(attempt: int, base_s: float = 0.1, cap_s: float = 5.0) -> float:
    """Return the pause after attempt ``attempt`` (the first is 1) where the server advises none, before jitter.

    Source: OTLP specification, "OTLP/gRPC Response", "Failures" (exponential back-off).
    """
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 30))


def _acked(request: Request, answer: Answer) -> Outcome:
    if isinstance(answer, pb.LogMetricsResponse):
        return Outcome(Verdict.ACKED, accepted_points=request.points)
    first = answer.rejections[0] if answer.rejections else None
    return Outcome(
        Verdict.ACKED,
        accepted_points=answer.accepted_points,
        rejected_points=answer.rejected_points,
        duplicate=answer.duplicate,
        first_rejection=described(first.reason, first.message) + (f" ({first.field})" if first.field else "")
        if first
        else "",
        rejections=answer.rejections,
    )
