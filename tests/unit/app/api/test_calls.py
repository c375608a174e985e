"""A call's span continues its caller's trace and says what became of the call."""

import asyncio

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from ingestor.api.calls import Calls, CallSpan
from ingestor.telemetry.tracing import HeadSampling
from support.spans import SpanRecorder

SERVICE = "analytics.v1.AnalyticsService"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def _start(recorder: SpanRecorder, *metadata: tuple[str, str], ratio: float = 0.0) -> CallSpan | None:
    return Calls(SERVICE, recorder.tracer, HeadSampling(ratio)).start("Write", metadata)


def _sampled(recorder: SpanRecorder) -> CallSpan:
    call = _start(recorder, ("traceparent", f"00-{TRACE}-{SPAN}-01"))
    assert call is not None
    return call


def _ended(recorder: SpanRecorder) -> ReadableSpan:
    (span,) = recorder.ended(f"{SERVICE}/Write")
    return span


def test_a_recorded_caller_is_the_parent() -> None:
    recorder = SpanRecorder()
    _sampled(recorder).answer(accepted=9, rejected=1, ack="committed", duplicate=False)
    span = _ended(recorder)
    assert span.parent is not None
    assert span.context is not None
    assert trace.format_trace_id(span.context.trace_id) == TRACE
    assert trace.format_span_id(span.parent.span_id) == SPAN
    assert span.kind is SpanKind.SERVER
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/Write",
        "rpc.response.status_code": "OK",
        "ingestor.points.accepted": 9,
        "ingestor.points.rejected": 1,
        "ingestor.ack": "committed",
        "ingestor.duplicate": False,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_a_caller_that_is_not_recorded_makes_no_span_though_all_new_traces_are() -> None:
    assert _start(SpanRecorder(), ("traceparent", f"00-{TRACE}-{SPAN}-00"), ratio=1.0) is None


@pytest.mark.parametrize("metadata", [(), (("traceparent", "nonsense"),)], ids=["none", "unreadable"])
def test_a_call_without_a_caller_starts_a_trace_where_the_lot_says_so(metadata: tuple[tuple[str, str], ...]) -> None:
    recorder = SpanRecorder()
    assert _start(recorder, *metadata) is None
    # A span that happens to be current is not the caller's.
    with trace.use_span(recorder.start("other")):
        call = _start(recorder, *metadata, ratio=1.0)
    assert call is not None
    call.end(grpc.StatusCode.OK)
    assert _ended(recorder).parent is None


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (grpc.StatusCode.FAILED_PRECONDITION, False),
    ],
)
def test_a_refusal_has_its_status_and_reason_and_is_an_error_where_the_server_is_at_fault(
    code: grpc.StatusCode, *, fault: bool
) -> None:
    recorder = SpanRecorder()
    _sampled(recorder).end(code, "reason")
    span = _ended(recorder)
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == code.name
    assert span.attributes["ingestor.reason"] == "reason"
    assert (span.status.status_code is StatusCode.ERROR) is fault
    assert ("error.type" in span.attributes) is fault


async def test_a_cancelled_call_ends_its_span() -> None:
    recorder = SpanRecorder()
    began = asyncio.Event()

    async def handle() -> None:
        with _sampled(recorder).current():
            began.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(handle())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    attributes = _ended(recorder).attributes
    assert attributes is not None
    assert attributes["rpc.response.status_code"] == "CANCELLED"
    assert not trace.get_current_span().get_span_context().is_valid
