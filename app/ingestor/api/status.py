"""The only map from our errors to gRPC statuses.

Source: OTLP specification, "OTLP/gRPC Response": which statuses clients retry, and that RetryInfo says when.
"""

import random
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ingestor.api.server_time import time_metadata
from ingestor.errors import (
    CardinalityError,
    CommitUnknownError,
    IngestorError,
    InvalidRequestError,
    KeyExpiredError,
    LimitError,
    TransientError,
)

DOMAIN = "analytics-ingestor.io"
BASE_RETRY_S = 1.0
MAX_RETRY_S = 30.0

_DETAILS_KEY = "grpc-status-details-bin"
_RETRY_KEY = "google.rpc.retryinfo-bin"
"""Trailers: the whole status, and RetryInfo by itself, where OpenTelemetry's exporters for Python look for it."""
_MAX_TEXT = 200
_MAX_VIOLATIONS_BYTES = 2_000
"""Bounds that keep a status below 6 KiB, its text percent-encoded: from 8 KiB on gRPC gives one of its own instead."""


def status_code(error: IngestorError) -> grpc.StatusCode:
    """Return the status that says what ``error`` means to a client."""
    if isinstance(error, CommitUnknownError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, LimitError):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, TransientError):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, KeyExpiredError):
        return grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, CardinalityError):
        return grpc.StatusCode.UNIMPLEMENTED
    return grpc.StatusCode.INVALID_ARGUMENT


def retry_after_s(advised_s: float | None) -> float:
    """Return the pause that a client is told, in seconds, spread by a fifth so that not all come back at once."""
    pause = min(MAX_RETRY_S, max(BASE_RETRY_S, advised_s or 0.0))
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status as gRPC takes it."""

    code: grpc.StatusCode
    text: str
    metadata: tuple[tuple[str, bytes], ...]


def refusal(error: IngestorError, drain_s: float) -> Refusal:
    """Return the status of ``error`` with its details; ``drain_s`` is when room is expected where it says no pause."""
    code = status_code(error)
    text = str(error)[:_MAX_TEXT]
    status = status_pb2.Status(code=code.value[0], message=text)
    metadata: tuple[tuple[str, bytes], ...] = ()
    for detail in _details(error, drain_s):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
        if isinstance(detail, error_details_pb2.RetryInfo):
            metadata = ((_RETRY_KEY, detail.SerializeToString()),)
    return Refusal(code, text, ((_DETAILS_KEY, status.SerializeToString()), *metadata))


async def refuse(context: "grpc.aio.ServicerContext[bytes, bytes]", told: Refusal) -> None:
    """End a call with a status: trailers alone, where a handler that returns sends headers and an empty message first.

    Not from within an ``except`` block. gRPC keeps the exception of ``abort`` with the call: with a traceback or a
    context it would keep the frames of ours that are in there, and the request's message, until the garbage collector
    comes round (250 MiB more under refusals, measured). So it has neither; whoever waits in ``read`` gets it as well.
    """
    try:
        await context.abort(told.code, told.text, told.metadata)
    except grpc.aio.BaseError as ended:  # of ``abort`` itself; or the client is gone, or the call has its status
        ended.__traceback__ = None


def _details(error: IngestorError, drain_s: float) -> list[Message]:
    if isinstance(error, CommitUnknownError):
        return [_info(error.reason)]
    if isinstance(error, TransientError):
        delay = Duration()
        advised_s = drain_s if error.retry_after_s is None else error.retry_after_s
        delay.FromMilliseconds(int(retry_after_s(advised_s) * 1000))
        return [error_details_pb2.RetryInfo(retry_delay=delay), _info(error.reason)]
    if isinstance(error, InvalidRequestError):
        return [_bad_request(error), _info(error.reason)]
    return [_info(getattr(error, "reason", "unknown"))]


def _bad_request(error: InvalidRequestError) -> error_details_pb2.BadRequest:
    """Return the first violations, as many as the bound allows."""
    bad_request = error_details_pb2.BadRequest()
    for violation in error.violations:
        bad_request.field_violations.add(
            field=violation.field, description=violation.message[:_MAX_TEXT], reason=violation.reason
        )
        if bad_request.ByteSize() > _MAX_VIOLATIONS_BYTES:
            break
    return bad_request


def _info(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason.upper(), domain=DOMAIN, metadata=time_metadata(reason))
