"""A request belongs to the trace in which its first point was recorded, whoever sends it when."""

from opentelemetry import trace

from ingestor.client import Client
from support.fake_sender import FakeSender

TRACE_ID, SPAN_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_the_span_of_the_first_point_goes_with_its_request() -> None:
    context = trace.SpanContext(TRACE_ID, SPAN_ID, is_remote=False, trace_flags=trace.TraceFlags(1))
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        with trace.use_span(trace.NonRecordingSpan(context)):
            await client.record("service", "metric", 1)
        await client.record("service", "metric", 2)
        await client.flush()
        await client.record("service", "metric", 3)
    assert [dict(request.metadata).get("traceparent") for request in sender.requests] == [PARENT, None]
