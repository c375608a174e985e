"""The server span of a call: continued from its caller's trace, with what became of the call.

Source: OpenTelemetry semantic conventions 1.45, "gRPC": names, attributes, and which statuses are a server's errors.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv._incubating.attributes.rpc_attributes import (
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
    RpcSystemNameValues,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from ingestor.propagation import extract
from ingestor.telemetry.tracing import HeadSampling

_SERVER_ERRORS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class CallSpan:
    """One recorded call."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._ended = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the span the current one for the body, so that log lines carry its ids, and end it then."""
        try:
            with trace.use_span(self.span, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            if not self._ended:  # the client went away, or its deadline passed
                self.end(grpc.StatusCode.CANCELLED)

    def answer(self, *, accepted: int, rejected: int, ack: str, duplicate: bool) -> None:
        """Note what an OK reply says, and end."""
        self.span.set_attributes(
            {
                "ingestor.points.accepted": accepted,
                "ingestor.points.rejected": rejected,
                "ingestor.ack": ack,
                "ingestor.duplicate": duplicate,
            }
        )
        self.end(grpc.StatusCode.OK)

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """Note the call's status, and why where it is not OK, and end."""
        self._ended = True
        self.span.set_attribute(RPC_RESPONSE_STATUS_CODE, code.name)
        if reason:
            self.span.set_attribute("ingestor.reason", reason)
        if code in _SERVER_ERRORS:
            self.span.set_attribute(ERROR_TYPE, code.name)
            self.span.set_status(StatusCode.ERROR, reason or None)
        self.span.end()


class Calls:
    """Starts a span for each call of a service that is to be recorded."""

    def __init__(self, service: str, tracer: Tracer, sampling: HeadSampling) -> None:
        self._service = service
        self._tracer = tracer
        self._sampling = sampling

    def start(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> CallSpan | None:
        """Return the call's span, None where it is not recorded."""
        parent = extract(metadata)
        if not self._sampling.takes(parent):
            return None
        caller = Context() if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        name = f"{self._service}/{method}"
        attributes = {
            RPC_SYSTEM_NAME: RpcSystemNameValues.GRPC.value,
            RPC_METHOD: name,
        }
        span = self._tracer.start_span(name, caller, SpanKind.SERVER, attributes)
        return CallSpan(span) if span.is_recording() else None
