"""What is recorded, how many wait, and that neither waits for a collector that is away."""

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client import CollectorRegistry

from ingestor.errors import ConfigurationError
from ingestor.telemetry.metrics import Metrics
from ingestor.telemetry.span_queue import MAX_BATCH_SPANS, MAX_WAITING_SPANS
from ingestor.telemetry.tracing import HeadSampling, Tracing, make_exporter
from support.eventually import HANG_S


class _Exporter(SpanExporter):
    """Takes spans once it is opened, and fails those that it holds when it is shut down."""

    def __init__(self, *, opened: bool) -> None:
        self.names: list[str] = []
        self._opened = threading.Event()
        self._result = SpanExportResult.SUCCESS
        if opened:
            self._opened.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._opened.wait()
        self.names += [span.name for span in spans if self._result is SpanExportResult.SUCCESS]
        return self._result

    def open(self) -> None:
        self._opened.set()

    def shutdown(self) -> None:
        if not self._opened.is_set():
            self._result = SpanExportResult.FAILURE
            self._opened.set()


def _tracing(exporter: SpanExporter, *, sample_ratio: float = 1.0) -> tuple[Tracing, CollectorRegistry]:
    registry = CollectorRegistry()
    tracing = Tracing(exporter, Metrics(registry).spans_dropped, instance="pod-0", sample_ratio=sample_ratio)
    return tracing, registry


def _dropped(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("ingestor_trace_spans_dropped_total", {"reason": reason}) or 0.0


def _caller(*, sampled: bool) -> SpanContext:
    return SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(int(sampled)))


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_the_callers_decision_holds_whatever_the_ratio(ratio: float) -> None:
    sampling = HeadSampling(ratio)
    assert all(sampling.takes(_caller(sampled=True)) for _ in range(100))
    assert not any(sampling.takes(_caller(sampled=False)) for _ in range(100))


@pytest.mark.parametrize(("ratio", "draw", "taken"), [(0.0, 0.0, False), (0.01, 0.0099, True), (0.01, 0.01, False)])
def test_a_call_that_starts_a_trace_is_taken_by_lot(ratio: float, draw: float, *, taken: bool) -> None:
    assert HeadSampling(ratio, lambda: draw).takes(None) is taken


async def test_whatever_is_started_is_delivered_at_the_end() -> None:
    exporter = _Exporter(opened=True)
    tracing, registry = _tracing(exporter, sample_ratio=0.0)
    for number in range(1_000):
        tracing.tracer.start_span(str(number)).end()
    await tracing.close()
    assert sorted(map(int, exporter.names)) == list(range(1_000))
    assert _dropped(registry, "queue_full") == _dropped(registry, "not_delivered") == 0


async def test_spans_without_room_are_counted_and_their_end_does_not_wait() -> None:
    exporter = _Exporter(opened=False)
    tracing, registry = _tracing(exporter)
    for _ in range(MAX_WAITING_SPANS + 2_000):
        tracing.tracer.start_span("one").end()  # for ever, if it waited for the exporter
    exporter.open()
    await tracing.close()
    assert _dropped(registry, "queue_full") >= 2_000 - MAX_BATCH_SPANS
    assert _dropped(registry, "queue_full") + len(exporter.names) == MAX_WAITING_SPANS + 2_000


async def test_the_end_is_bounded_and_what_is_lost_is_counted() -> None:
    tracing, registry = _tracing(_Exporter(opened=False))
    for _ in range(10):
        tracing.tracer.start_span("one").end()
    ticks_s = [time.monotonic()]
    async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(tracing.close())
        while not closing.done():
            await asyncio.sleep(0.01)
            ticks_s.append(time.monotonic())
    longest_stall_s = max(later - earlier for earlier, later in itertools.pairwise(ticks_s))
    assert longest_stall_s < (ticks_s[-1] - ticks_s[0]) / 2, "the loop stood still"
    assert _dropped(registry, "not_delivered") == 10


def test_an_exporters_own_wrong_variable_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_COMPRESSION"):
        make_exporter("http://127.0.0.1:4317")
