"""Trace context travels in a call's metadata; what can't be read is as good as nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ingestor.propagation import extract, inject
from support.spans import SpanRecorder

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_what_is_injected_is_extracted() -> None:
    with trace.use_span(SpanRecorder().start()) as span:
        metadata = inject((("x-ack", "committed"),))
    context = extract(metadata)
    assert metadata[0] == ("x-ack", "committed")
    assert context is not None
    assert context.is_remote
    assert (context.trace_id, context.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert context.trace_flags.sampled


def test_nothing_is_injected_without_a_span_or_over_the_callers_own() -> None:
    assert inject((("a", "b"),)) == (("a", "b"),)
    with trace.use_span(SpanRecorder().start()):
        assert inject((("traceparent", PARENT),)) == (("traceparent", PARENT),)


def test_the_state_goes_along() -> None:
    context = extract((("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")))
    assert context is not None
    assert dict(context.trace_state) == {"a": "1", "b": "2"}
    with trace.use_span(trace.NonRecordingSpan(context)):
        assert inject() == (("traceparent", PARENT), ("tracestate", "a=1,b=2"))


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "hello",
        PARENT[:-1],
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        PARENT + "-more",
        PARENT + "-" * 600,
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT.replace("0", "\u0660"),
    ],
)
def test_a_parent_that_breaks_the_format_is_none(parent: str) -> None:
    assert extract((("traceparent", parent),)) is None


def test_two_parents_are_none() -> None:
    assert extract((("traceparent", PARENT), ("traceparent", PARENT))) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert extract((("traceparent", f"01-{TRACE}-{SPAN}-01-more"),)) is not None


@given(
    st.one_of(
        st.text(alphabet="0123456789abcdefgG- \t", max_size=60),
        st.from_regex(r"[0f][0f]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,3})?", fullmatch=True),
    )
)
def test_it_agrees_with_opentelemetrys_own_reader(parent: str) -> None:
    theirs = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent})).get_span_context()
    ours = extract((("traceparent", parent),))
    assert (ours or trace.INVALID_SPAN_CONTEXT) == theirs
