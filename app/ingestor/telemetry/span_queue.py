"""The bounded way of ended spans to the exporter, which counts what gets lost.

Handing a span over never waits: a thread of the SDK's sends. The SDK's own queue drops without telling.
"""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Counter

MAX_WAITING_SPANS = 2_048
MAX_BATCH_SPANS = 512
"""Source: OpenTelemetry specification, "Batching processor", its defaults."""
_SEND_INTERVAL_MS = 1_000


class CountingExporter(SpanExporter):
    """Passes spans on and counts those that did not arrive; ``taken`` are all that left the queue."""

    def __init__(self, exporter: SpanExporter, dropped: Counter) -> None:
        self._exporter = exporter
        self._dropped = dropped
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; runs on the SDK's thread and may take as long as the exporter's time limit."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._dropped.labels("not_delivered").inc(len(spans))
        return result

    def shutdown(self) -> None:
        """End the exporter; what it is sending fails at once."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing waits here."""
        return self._exporter.force_flush(timeout_millis)


class SpanQueue(BatchSpanProcessor):
    """The SDK's batches behind a bound of our own, so that every span that finds no room is counted.

    Spans end on the event loop alone, and only the SDK's thread takes them, so each count has one writer.
    """

    def __init__(self, exporter: CountingExporter, dropped: Counter) -> None:
        super().__init__(exporter, MAX_WAITING_SPANS, _SEND_INTERVAL_MS, MAX_BATCH_SPANS)
        self._counting = exporter
        self._dropped = dropped
        self._queued = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue an ended span, or count it where there is no room."""
        if self._queued - self._counting.taken >= MAX_WAITING_SPANS:
            self._dropped.labels("queue_full").inc()
            return
        self._queued += 1
        super().on_end(span)
