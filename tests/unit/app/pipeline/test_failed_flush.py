"""A flush that fails: the request at fault ends alone, the others are stored, and an outage is nobody's fault."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from ingestor.pipeline.failures import MAX_BLAMES
from ingestor.storage.contract import Batch, ErrorClass, Outcome, Stored
from support.fake_writer import FakeDatabase, FakeWriter, Fault
from support.pipeline import Pipeline, make_held, running_pipeline
from support.virtual_time import run_virtually, virtual_clock

BAD = 13
"""Points of a request that is at fault."""


class PoisonedWriter(FakeWriter):
    """Fails every flush in which there is a request at fault."""

    def __init__(self, error_class: ErrorClass, database: FakeDatabase | None = None) -> None:
        super().__init__(database or FakeDatabase())
        self.error_class = error_class

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        if any(part.storable == BAD for part in batch.parts):
            self.faults.append(Fault(self.error_class))
        return await super().flush(batch)


async def _keep_writing(pipeline: Pipeline, until: Callable[[], bool]) -> int:
    """Write good requests one after the other; return the number that was stored.

    After the first, the server must admit every one.
    """
    written = 0
    while not until():
        if written:
            pipeline.health.check_admission()
        assert await pipeline.hold(make_held(2)) == Stored(2)
        written += 1
        await asyncio.sleep(0.1)
    return written


def _refused(reason: str) -> Callable[[object], bool]:
    return lambda outcome: (
        isinstance(outcome, Stored) and outcome.accepted == 0 and dict(outcome.rejected) == {reason: BAD}
    )


@pytest.mark.parametrize(
    ("error_class", "reason"), [(ErrorClass.DATA, "refused_by_database"), (ErrorClass.SPLIT, "too_wide")]
)
def test_a_request_that_is_certainly_at_fault_is_set_aside_at_once(error_class: ErrorClass, reason: str) -> None:
    async def scenario() -> None:
        writer = PoisonedWriter(error_class)
        async with running_pipeline(writer) as pipeline:
            outcomes = await asyncio.gather(*(pipeline.hold(make_held(count)) for count in (5, 5, BAD, 5, 5, 5)))
            assert _refused(reason)(outcomes.pop(2))
            assert outcomes == [Stored(5)] * 5
            assert virtual_clock() < 1.0
            assert pipeline.totals() == {"committed": 25, "rejected": BAD}
            pipeline.check_accounts()

    run_virtually(scenario())


@pytest.mark.parametrize("requests", [1, 3, 40])
@pytest.mark.parametrize(
    "error_class", [error for error in ErrorClass if error not in (ErrorClass.DATA, ErrorClass.SPLIT)]
)
def test_requests_that_fail_while_others_are_stored_are_set_aside_after_some_tries(
    error_class: ErrorClass, requests: int
) -> None:
    async def scenario() -> None:
        writer = PoisonedWriter(error_class)
        async with running_pipeline(writer, commit_timeout_s=600) as pipeline:
            for _ in range(requests):
                pipeline.hold(make_held(BAD, answered=True))
            pipeline.hold(make_held(5, answered=True))
            stored = await _keep_writing(
                pipeline, lambda: pipeline.totals()["held"] == 0 and pipeline.totals()["rejected"] > 0
            )
            assert pipeline.totals() == {"committed": 5 + 2 * stored, "rejected": BAD * requests}
            pipeline.check_accounts()

    run_virtually(scenario())


@pytest.mark.parametrize("error_class", [ErrorClass.SCHEMA, ErrorClass.UNKNOWN, ErrorClass.DISK_FULL, ErrorClass.RETRY])
@pytest.mark.parametrize("answered", [False, True])
def test_an_outage_is_nobodys_fault_however_long_it_is(error_class: ErrorClass, answered: bool) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        async with running_pipeline(writer, commit_timeout_s=10_000) as pipeline:
            writer.database.refuses = error_class
            waiters = [pipeline.hold(make_held(2, answered=answered)) for _ in range(50)]
            await asyncio.sleep(3_600)
            assert pipeline.totals() == {"held": 100}
            assert pipeline.health.up == (error_class is ErrorClass.RETRY)
            writer.database.refuses = None
            async with asyncio.timeout(60):
                assert await asyncio.gather(*waiters) == [Stored(2)] * 50
            pipeline.check_accounts()

    run_virtually(scenario())


def test_a_request_that_breaks_connections_does_not_take_the_others_with_it() -> None:
    async def scenario() -> None:
        writer = PoisonedWriter(ErrorClass.CONNECTION)
        async with running_pipeline(writer) as pipeline:
            pipeline.hold(make_held(BAD, answered=True))
            others = [pipeline.hold(make_held(5)) for _ in range(30)]
            async with asyncio.timeout(15):
                assert await asyncio.gather(*others) == [Stored(5)] * 30

    run_virtually(scenario())


def test_a_request_at_fault_does_not_hold_up_the_end() -> None:
    async def scenario() -> None:
        async with running_pipeline(PoisonedWriter(ErrorClass.DATA)) as pipeline:
            pipeline.hold(make_held(BAD, answered=True))
            await pipeline.flusher.drain(5.0)
            assert pipeline.totals() == {"rejected": BAD}

    run_virtually(scenario())


def test_a_request_to_blame_is_tried_with_growing_pauses_while_others_pass() -> None:
    async def scenario() -> None:
        writer = PoisonedWriter(ErrorClass.UNKNOWN)
        async with running_pipeline(writer) as pipeline:
            held = make_held(BAD, answered=True)
            pipeline.hold(held)
            await _keep_writing(pipeline, lambda: pipeline.totals()["rejected"] == BAD)
            tries = sum(any(part is held.part for part in batch.parts) for batch in writer.flushed)
            assert MAX_BLAMES <= tries <= MAX_BLAMES + 4
            assert virtual_clock() > 10.0

    run_virtually(scenario())
