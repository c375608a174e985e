"""A flush's phases, measured once for both: the histogram of all flushes, and the spans of a recorded one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.semconv.attributes.db_attributes import (
    DB_COLLECTION_NAME,
    DB_OPERATION_NAME,
    DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME,
    DbSystemNameValues,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from prometheus_client import Histogram


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a phase asks of the database.

    Source: OpenTelemetry semantic conventions 1.45, "Database client spans".
    """

    operation: str
    table: str | None = None

    @property
    def name(self) -> str:
        """Return the span's name."""
        return f"{self.operation} {self.table}" if self.table else self.operation

    def attributes(self, phase: str) -> dict[str, str]:
        """Return the span's attributes."""
        named = {DB_SYSTEM_NAME: DbSystemNameValues.POSTGRESQL.value, DB_OPERATION_NAME: self.operation}
        table = {DB_COLLECTION_NAME: self.table} if self.table else {}
        return named | table | {"ingestor.flush.phase": phase}


_STATEMENTS = {
    "series": _Statement("INSERT", "series"),
    "ledger": _Statement("INSERT", "ledger"),
    "copy": _Statement("COPY", "samples"),
    "rejects": _Statement("INSERT", "rejects"),
    "commit": _Statement("COMMIT"),
}


class Phases:
    """Times each phase; makes spans below the flush's span where there is a tracer and that span is recorded."""

    def __init__(self, seconds: Histogram, tracer: Tracer | None = None) -> None:
        self._seconds = seconds
        self._tracer = tracer

    def measure(self, phase: str) -> AbstractContextManager[object]:
        """Return what measures the body as ``phase``."""
        timer = self._seconds.labels(phase).time()
        if self._tracer is None or not trace.get_current_span().is_recording():
            return timer
        return _traced(timer, self._tracer, phase)


@contextmanager
def _traced(timer: AbstractContextManager[object], tracer: Tracer, phase: str) -> Iterator[None]:
    statement = _STATEMENTS[phase]
    span = tracer.start_span(statement.name, kind=SpanKind.CLIENT, attributes=statement.attributes(phase))
    try:
        with timer:
            yield
    except BaseException as error:
        # The class alone: a database's messages quote rows.
        state = getattr(error, "sqlstate", None)
        if state:
            span.set_attribute(DB_RESPONSE_STATUS_CODE, state)
        span.set_attribute(ERROR_TYPE, state or type(error).__name__)
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        span.end()
