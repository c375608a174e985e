"""A flush is recorded where a request in it is, linked both ways, and says how it failed without quoting anything."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, StatusCode

from ingestor.keys import mint_key
from ingestor.pipeline.held import MAX_LINKS, Held
from ingestor.storage.contract import Batch, ErrorClass, Outcome, Stored
from support.fake_writer import FakeDatabase, FakeWriter, Fault
from support.pipeline import make_held, running_pipeline
from support.spans import SpanRecorder, links_of
from support.virtual_time import run_virtually


class _WatchedWriter(FakeWriter):
    """Notes which span is the current one in each flush."""

    def __init__(self) -> None:
        super().__init__(FakeDatabase())
        self.current: list[Span] = []

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        self.current.append(trace.get_current_span())
        return await super().flush(batch)


def _recorded(recorder: SpanRecorder, count: int = 1, *, answered: bool = False) -> tuple[Held, Span]:
    held, span = make_held(count, key=mint_key(), answered=answered), recorder.start()
    held.record(span)
    return held, span


def test_a_flush_without_a_recorded_request_makes_no_span() -> None:
    async def scenario() -> None:
        writer, recorder = _WatchedWriter(), SpanRecorder()
        async with running_pipeline(writer, tracer=recorder.tracer) as pipeline:
            await pipeline.hold(make_held(10))
        assert not recorder.ended("flush")
        assert [span.is_recording() for span in writer.current] == [False]

    run_virtually(scenario())


def test_recorded_requests_of_one_flush_are_linked_with_it_both_ways() -> None:
    async def scenario() -> None:
        writer, recorder = _WatchedWriter(), SpanRecorder()
        async with running_pipeline(writer, tracer=recorder.tracer) as pipeline:
            (first, one), (second, two) = _recorded(recorder, 3), _recorded(recorder, 4)
            await asyncio.gather(*map(pipeline.hold, (first, make_held(5), second)))
        (flush,) = recorder.ended("flush")
        assert flush.context is not None
        assert flush.parent is None
        assert links_of(flush) == [one.get_span_context(), two.get_span_context()]
        for call in (one, two):
            call.end()
        assert [links_of(call) for call in recorder.ended("call")] == [[flush.context], [flush.context]]
        assert [span.get_span_context() for span in writer.current] == [flush.context]
        assert flush.attributes is not None
        assert (flush.attributes["ingestor.flush.requests"], flush.attributes["ingestor.flush.rows"]) == (3, 12)
        assert flush.status.status_code is StatusCode.UNSET

    run_virtually(scenario())


def test_a_repeat_that_waits_along_is_linked_too() -> None:
    async def scenario() -> None:
        writer, recorder = _WatchedWriter(), SpanRecorder()
        async with running_pipeline(writer, tracer=recorder.tracer) as pipeline:
            held, one = _recorded(recorder)
            repeat = recorder.start("repeat")
            held.record(repeat)
            await pipeline.hold(held)
        assert links_of(recorder.ended("flush")[0]) == [one.get_span_context(), repeat.get_span_context()]

    run_virtually(scenario())


def test_links_are_bounded() -> None:
    async def scenario() -> None:
        recorder = SpanRecorder()
        async with running_pipeline(tracer=recorder.tracer) as pipeline:
            helds = [_recorded(recorder)[0] for _ in range(MAX_LINKS + 1)]
            for _ in range(MAX_LINKS + 1):
                helds[0].record(recorder.start())
            await asyncio.gather(*map(pipeline.hold, helds))
        assert len(helds[0].spans) == MAX_LINKS
        flushes = recorder.ended("flush")
        assert max(len(flush.links) for flush in flushes) == MAX_LINKS
        assert not any(flush.dropped_links for flush in flushes)

    run_virtually(scenario())


@pytest.mark.parametrize("error_class", [ErrorClass.RETRY, ErrorClass.CONNECTION, ErrorClass.UNKNOWN])
def test_a_failed_flush_says_so_and_the_next_one_has_a_span_of_its_own(
    error_class: ErrorClass, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[Span, Sequence[ReadableSpan]]:
        writer, recorder = _WatchedWriter(), SpanRecorder()
        writer.faults.append(Fault(error_class))
        async with running_pipeline(writer, tracer=recorder.tracer) as pipeline:
            held, span = _recorded(recorder)
            assert await pipeline.hold(held) == Stored(1)
        return span, recorder.ended("flush")

    call, (failed, stored) = run_virtually(scenario())
    assert failed.status.status_code is StatusCode.ERROR
    assert "scripted" not in (failed.status.description or "") + str(failed.attributes)
    assert failed.attributes is not None
    assert failed.attributes["ingestor.flush.error_class"] == error_class
    assert stored.status.status_code is StatusCode.UNSET
    assert links_of(failed) == links_of(stored) == [call.get_span_context()]
    (line,) = [record for record in caplog.records if record.getMessage() == "flush failed, will retry"]
    assert failed.context is not None
    assert line.__dict__["trace_id"] == trace.format_trace_id(failed.context.trace_id)
    assert line.__dict__["span_id"] == trace.format_span_id(failed.context.span_id)


@pytest.mark.parametrize("committed", [False, True])
def test_a_repeat_after_an_unknown_commit_has_a_span_of_its_own_with_the_same_link(*, committed: bool) -> None:
    async def scenario() -> None:
        writer, recorder = _WatchedWriter(), SpanRecorder()
        writer.faults.append(Fault(ErrorClass.CONNECTION, unknown=True, committed=committed))
        async with running_pipeline(writer, tracer=recorder.tracer) as pipeline:
            held, span = _recorded(recorder)
            assert await pipeline.hold(held) == Stored(1)
        unknown, repeated = recorder.ended("flush")
        assert unknown.attributes is not None
        assert repeated.attributes is not None
        assert unknown.attributes["ingestor.flush.outcome_unknown"] is True
        assert repeated.attributes["ingestor.flush.repeated"] is True
        assert links_of(unknown) == links_of(repeated) == [span.get_span_context()]

    run_virtually(scenario())


def test_a_buffered_call_that_has_ended_is_linked_from_the_flush(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        recorder = SpanRecorder()
        async with running_pipeline(tracer=recorder.tracer) as pipeline:
            held, span = _recorded(recorder, answered=True)
            span.end()
            await pipeline.hold(held)
        assert links_of(recorder.ended("flush")[0]) == [span.get_span_context()]

    run_virtually(scenario())
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]
