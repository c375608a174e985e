"""Log lines carry the ids of the recorded span around them; a library that repeats itself is heard seldom."""

import json
import logging

from opentelemetry import trace

from ingestor.telemetry.logging import ConsoleFormatter, JsonFormatter, SeldomFilter
from support.spans import SpanRecorder


def _record(name: str = "ingestor", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord(name, level, __file__, 1, "message", (), None)
    record.__dict__.update(extra)
    return record


def test_a_line_within_a_span_has_its_ids_in_both_formats() -> None:
    span = SpanRecorder().start()
    context = span.get_span_context()
    trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    with trace.use_span(span):
        line = json.loads(JsonFormatter().format(_record()))
        text = ConsoleFormatter().format(_record())
    assert (line["trace_id"], line["span_id"]) == (trace_id, span_id)
    assert f"trace_id={trace_id} span_id={span_id}" in text


def test_a_line_without_a_span_has_no_ids() -> None:
    assert "trace_id" not in json.loads(JsonFormatter().format(_record()))
    assert "trace_id" not in ConsoleFormatter().format(_record())


def test_ids_that_a_line_brings_along_hold() -> None:
    with trace.use_span(SpanRecorder().start()):
        line = json.loads(JsonFormatter().format(_record(trace_id="a", span_id="b")))
    assert (line["trace_id"], line["span_id"]) == ("a", "b")


def test_a_library_is_heard_once_an_interval_and_as_a_warning() -> None:
    now_s = 0.0
    seldom = SeldomFilter("opentelemetry", 60.0, lambda: now_s)
    first = _record("opentelemetry.exporter", logging.ERROR)
    assert seldom.filter(first)
    assert (first.levelno, first.levelname) == (logging.WARNING, "WARNING")
    assert not seldom.filter(_record("opentelemetry.sdk", logging.WARNING))
    now_s = 60.0
    assert seldom.filter(_record("opentelemetry.sdk", logging.WARNING))


def test_others_are_always_heard() -> None:
    seldom = SeldomFilter("opentelemetry", 60.0)
    records = [_record("opentelemetrics", logging.ERROR), _record("ingestor.pipeline", logging.ERROR)]
    assert all(seldom.filter(record) and record.levelno == logging.ERROR for record in records for _ in range(2))
