"""Each phase is in the histogram always, and a span below the flush's where that is recorded."""

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from ingestor.telemetry.metrics import Metrics
from ingestor.telemetry.phases import Phases
from support.spans import SpanRecorder


def _phases(recorder: SpanRecorder | None) -> tuple[Phases, CollectorRegistry]:
    registry = CollectorRegistry()
    return Phases(Metrics(registry).flush_seconds, recorder.tracer if recorder else None), registry


def _count(registry: CollectorRegistry, phase: str) -> float | None:
    return registry.get_sample_value("ingestor_flush_seconds_count", {"phase": phase})


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        ("series", "INSERT series"),
        ("ledger", "INSERT ledger"),
        ("copy", "COPY samples"),
        ("rejects", "INSERT rejects"),
        ("commit", "COMMIT"),
    ],
)
def test_a_phase_of_a_recorded_flush_is_a_database_span(phase: str, name: str) -> None:
    recorder = SpanRecorder()
    phases, registry = _phases(recorder)
    with trace.use_span(recorder.start("flush")) as flush, phases.measure(phase):
        pass
    (span,) = recorder.ended(name)
    assert span.parent == flush.get_span_context()
    assert span.kind is SpanKind.CLIENT
    assert span.attributes is not None
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.operation.name"] == name.split()[0]
    assert span.attributes.get("db.collection.name", "") == name.partition(" ")[2]
    assert _count(registry, phase) == 1


@pytest.mark.parametrize("traced", [False, True])
def test_a_phase_of_another_flush_is_in_the_histogram_alone(*, traced: bool) -> None:
    recorder = SpanRecorder()
    phases, registry = _phases(recorder if traced else None)
    with phases.measure("copy"):
        pass
    assert not recorder.ended("COPY samples")
    assert _count(registry, "copy") == 1


def test_a_failed_phase_has_the_state_and_class_of_its_error_and_not_its_text() -> None:
    recorder = SpanRecorder()
    phases, registry = _phases(recorder)
    with (
        pytest.raises(asyncpg.UniqueViolationError),
        trace.use_span(recorder.start("flush")),
        phases.measure("copy"),
    ):
        raise asyncpg.UniqueViolationError("secret row")
    (span,) = recorder.ended("COPY samples")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["db.response.status_code"] == span.attributes["error.type"] == "23505"
    assert "secret" not in span.to_json()
    assert _count(registry, "copy") == 1
