"""What is known of a request that has no end yet, and what a status says about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

OnRetry = Callable[[str, str], None]
"""Called before each pause with the status that made a retry necessary and its text."""

KEY_AHEAD = "IDEMPOTENCY_KEY_AHEAD"
KEY_EXPIRED = "IDEMPOTENCY_KEY_EXPIRED"
SERVER_TIME = "server_unix_ms"
"""The server's clock in the details of a refused key, in milliseconds since 1970 UTC."""

_DOMAIN = "analytics-ingestor.io"
_ALWAYS_RETRIED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # gRPC's own, about one per rolling update
}
_SAY_NO = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Statuses that say that nothing was done, whoever gives them."""


class Attempts:
    """The attempts of one request: kept by whoever sends it, read by whoever can't wait for its end."""

    __slots__ = ("_on_retry", "last_trouble", "may_be_stored")

    def __init__(self, on_retry: OnRetry) -> None:
        self._on_retry = on_retry
        self.may_be_stored = True
        """Whether an attempt may have stored the points, or may yet; a sender that can tell sets it to False."""
        self.last_trouble = ""

    def retried(self, status: str, message: str) -> None:
        """Note what made a retry necessary."""
        self.last_trouble = described(status, message)
        self._on_retry(status, message)


@dataclass(frozen=True, slots=True)
class Status:
    """The status of an attempt: what it says, in the terms of ours where it comes from our server.

    ``advised_s`` is the pause of its RetryInfo, ``reason`` that of its ErrorInfo, ``server_unix_ms`` the server's time
    where it refuses a key.
    """

    code: grpc.StatusCode
    message: str
    advised_s: float | None = None
    reason: str = ""
    server_unix_ms: int | None = None

    @property
    def is_retryable(self) -> bool:
        """Tell whether the same request may succeed later; RESOURCE_EXHAUSTED only where a pause is advised.

        Source: OTLP specification, table of retryable gRPC status codes.
        """
        exhausted = self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and self.advised_s is not None
        return exhausted or self.code in _ALWAYS_RETRIED

    @property
    def leaves_nothing(self) -> bool:
        """Tell whether this attempt certainly stored nothing: our server refused it, or the status says so."""
        return self.code in _SAY_NO or (self.code is grpc.StatusCode.UNAVAILABLE and bool(self.reason))

    @property
    def refuses_key(self) -> bool:
        """Tell whether it is the key's time that was refused."""
        return self.reason in {KEY_AHEAD, KEY_EXPIRED}


def read_status(error: grpc.aio.AioRpcError) -> Status:
    """Return what the status of an attempt says."""
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    packed = next((value for name, value in metadata if name == "grpc-status-details-bin"), b"")
    retry, info = error_details_pb2.RetryInfo(), error_details_pb2.ErrorInfo()
    try:
        details = status_pb2.Status.FromString(packed).details
        advised = any(detail.Unpack(retry) for detail in details)
        ours = any(detail.Unpack(info) for detail in details) and info.domain == _DOMAIN
    except DecodeError:
        advised = ours = False
    return Status(
        error.code(),
        error.details() or "",
        max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9) if advised else None,
        info.reason if ours else "",
        _milliseconds(info.metadata.get(SERVER_TIME, "")) if ours else None,
    )


def described(status: str, message: str) -> str:
    """Return a status and its text for people; many a text is empty."""
    return f"{status}: {message}" if message else status


def _milliseconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


_DIGITS = 14
"""Of the milliseconds that a UUIDv7 has room for: the year 5138."""
