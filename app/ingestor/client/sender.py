"""Send a request until it has an answer: the one place of the client that knows gRPC.

A retry sends the same bytes and therefore the same idempotency key, so the server stores the points once.
"""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Protocol, Self, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.clock import Clock
from ingestor.client.encode import Method, Request
from ingestor.propagation import inject

CALL_TIMEOUT_S = 30.0
"""Deadline of one attempt: longer than the server's own wait for a commit (20 s by default)."""

CALLS_PER_CONNECTION = 16
"""Calls that a server lets one connection have in flight by default; more need more connections."""

_RETRY_FLOOR_S = 0.01
_CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # The default of 30 s leaves a client without backends when all pods are replaced quickly.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Servers close connections that ping more often than they allow; a minute is within what ours and proxies take.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Channels with equal options would otherwise share one connection.
    ("grpc.use_local_subchannel_pool", 1),
]
_ALWAYS_RETRIED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # gRPC's own, about one per rolling update
}

OnRetry = Callable[[str, str], None]
"""Called before each pause with the status that made a retry necessary and its text."""


class Verdict(Enum):
    """How a request ended: answered OK, refused for good, or without an answer that says whether it is stored."""

    ACKED = "acked"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one request; the counts are the server's, ``status`` and ``message`` those of the last attempt."""

    verdict: Verdict
    accepted_points: int = 0
    rejected_points: int = 0
    duplicate: bool = False
    first_rejection: str = ""
    rejections: Sequence[pb.Rejection] = ()
    status: str = "OK"
    message: str = ""


class RequestSender(Protocol):
    """Sends one request to its end."""

    async def send(self, request: Request, on_retry: OnRetry) -> Outcome:
        """Send ``request`` until it is answered, refused for good, or time is up."""


class Sender:
    """Channels to one target, enough for ``in_flight`` calls at once.

    ``give_up_after_s`` bounds the attempts and pauses of one request together.
    """

    def __init__(
        self,
        target: str,
        *,
        in_flight: int = CALLS_PER_CONNECTION,
        give_up_after_s: float = 60.0,
        clock: Clock | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._target = target
        self._channel_count = -(-in_flight // CALLS_PER_CONNECTION)
        self._give_up_after_s = give_up_after_s
        self._clock = clock or Clock()
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def __aenter__(self) -> Self:
        self._channels = [
            grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS) for _ in range(self._channel_count)
        ]
        self._calls = itertools.cycle([_calls(channel) for channel in self._channels])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(channel.close(None) for channel in self._channels))

    async def send(self, request: Request, on_retry: OnRetry) -> Outcome:
        """Send ``request`` until it is answered, refused for good, or time is up.

        It carries the trace context of its metadata, else that of the span it is sent in.
        """
        give_up_at_s = self._clock.monotonic_s() + self._give_up_after_s
        call = next(self._calls)[request.method]
        metadata = inject(request.metadata)
        attempt = 0
        while True:
            attempt += 1
            timeout_s = min(CALL_TIMEOUT_S, max(give_up_at_s - self._clock.monotonic_s(), _RETRY_FLOOR_S))
            try:
                answer = await call(request.payload, timeout=timeout_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                advised_s = retry_info_s(error)
                status, message = error.code().name, error.details() or ""
                if not is_retryable(error.code(), advised_s):
                    return Outcome(_final_verdict(error.code(), attempt), status=status, message=message)
                pause_s = self._pause_s(attempt, advised_s)
                if self._clock.monotonic_s() + pause_s >= give_up_at_s:
                    return Outcome(Verdict.GIVEN_UP, status=status, message=message)
                on_retry(status, message)
            else:
                return _acked(request, answer)
            await self._clock.sleep(pause_s)

    def _pause_s(self, attempt: int, advised_s: float | None) -> float:
        # What the server advises is spread by the server already.
        if advised_s is not None:
            return max(advised_s, _RETRY_FLOOR_S)
        return retry_delay_s(attempt) * self._jitter.uniform(0.5, 1.0)


def _calls(channel: grpc.aio.Channel) -> dict[Method, Any]:
    return {
        Method.WRITE: channel.unary_unary(Method.WRITE.value, None, pb.WriteResponse.FromString),
        Method.LOG_METRIC: channel.unary_unary(Method.LOG_METRIC.value, None, pb.LogMetricsResponse.FromString),
    }


def retry_delay_s(attempt: int, base_s: float = 0.1, cap_s: float = 5.0) -> float:
    """Return the pause after attempt ``attempt`` (the first is 1) where the server advises none, before jitter.

    Source: OTLP specification, "OTLP/gRPC Response", "Failures" (exponential back-off).
    """
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 30))


def is_retryable(code: grpc.StatusCode, advised_s: float | None) -> bool:
    """Return whether the same request may succeed later; RESOURCE_EXHAUSTED only where a pause is advised.

    Source: OTLP specification, table of retryable gRPC status codes.
    """
    return code in _ALWAYS_RETRIED or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and advised_s is not None)


def retry_info_s(error: grpc.aio.AioRpcError) -> float | None:
    """Return the pause that the server advises in ``google.rpc.RetryInfo``, in seconds, None where it does not."""
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    packed = next((value for name, value in metadata if name == "grpc-status-details-bin"), b"")
    info = error_details_pb2.RetryInfo()
    try:
        details = status_pb2.Status.FromString(packed).details
        if not any(detail.Unpack(info) for detail in details):
            return None
    except DecodeError:
        return None
    return max(0.0, float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9))


def _final_verdict(code: grpc.StatusCode, attempt: int) -> Verdict:
    # A key that expired between attempts: one of the earlier ones may have been stored, and nobody can tell any more.
    expired_while_retrying = code is grpc.StatusCode.FAILED_PRECONDITION and attempt > 1
    return Verdict.GIVEN_UP if expired_while_retrying else Verdict.REFUSED


def _acked(request: Request, answer: pb.WriteResponse | pb.LogMetricsResponse) -> Outcome:
    if isinstance(answer, pb.LogMetricsResponse):
        return Outcome(Verdict.ACKED, accepted_points=request.points)
    first = answer.rejections[0] if answer.rejections else None
    return Outcome(
        Verdict.ACKED,
        accepted_points=answer.accepted_points,
        rejected_points=answer.rejected_points,
        duplicate=answer.duplicate,
        first_rejection=f"{first.reason}: {first.message} ({first.field})" if first else "",
        rejections=answer.rejections,
    )
