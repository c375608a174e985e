"""A tracer whose spans a test reads from memory."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, SpanContext


class SpanRecorder:
    """Records every span that is started with its tracer."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.tracer = provider.get_tracer("test")

    def start(self, name: str = "call") -> Span:
        """Start a span without parent."""
        return self.tracer.start_span(name)

    def ended(self, name: str) -> Sequence[ReadableSpan]:
        """Return the spans with this name that have ended, in the order in which they did."""
        return [span for span in self._memory.get_finished_spans() if span.name == name]


def links_of(span: ReadableSpan) -> list[SpanContext]:
    """Return what a span is linked with."""
    return [link.context for link in span.links]
