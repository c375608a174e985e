"""The span of a flush: a trace of its own, linked both ways with the requests in it that are recorded.

A flush serves many requests, so none of them is its parent. It is recorded where one of them is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Link, Span, StatusCode, Tracer

from ingestor.pipeline.held import MAX_LINKS, Held
from ingestor.storage.contract import Batch, FlushError


class FlushSpans:
    """Records the flushes of a process, None of them where there is no tracer."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @contextmanager
    def around(self, lane: int, helds: Sequence[Held], batch: Batch) -> Iterator[None]:
        """Make the flush's span the current one for the body, where the flush is recorded.

        A ``FlushError`` leaves with the span's context, for whoever logs it.
        """
        flush = None if self._tracer is None else _start(self._tracer, lane, helds, batch)
        if flush is None:
            yield
            return
        try:
            with trace.use_span(flush, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            _fail(flush, error)
            raise
        finally:
            flush.end()


def _start(tracer: Tracer, lane: int, helds: Sequence[Held], batch: Batch) -> Span | None:
    spans = [span for held in helds for span in held.spans]
    if not spans:
        return None
    attributes = {
        "ingestor.lane": lane,
        "ingestor.flush.requests": len(helds),
        "ingestor.flush.recorded_requests": len(spans),
        "ingestor.flush.rows": batch.rows,
        "ingestor.flush.repeated": batch.repeated,
    }
    links = [Link(span.get_span_context()) for span in spans[:MAX_LINKS]]
    flush = tracer.start_span("flush", Context(), attributes=attributes, links=links)
    for span in spans:
        if span.is_recording():  # a buffered request's call has ended
            span.add_link(flush.get_span_context())
    return flush


def _fail(flush: Span, error: BaseException) -> None:
    """Note the classes of an error, never its text: a database's messages quote rows."""
    flush.set_attribute(ERROR_TYPE, type(error.__cause__ or error).__name__)
    flush.set_status(StatusCode.ERROR, type(error).__name__)
    if isinstance(error, FlushError):
        flush.set_attribute("ingestor.flush.error_class", error.error_class.value)
        flush.set_attribute("ingestor.flush.outcome_unknown", error.if_committed is not None)
        error.span = flush.get_span_context()
