"""Waits that end early: time-outs, callers that go away, and the server's own end."""

import asyncio

import pytest

from ingestor.errors import CommitUnknownError, TransientError
from ingestor.keys import mint_key
from ingestor.pipeline.held import State
from ingestor.storage.contract import ErrorClass, Failed, Outcome, Stored
from support.fake_writer import FakeDatabase, FakeWriter, Fault
from support.pipeline import make_held, running_pipeline, wait_until
from support.virtual_time import run_virtually, virtual_clock

TIMEOUT_S = 20.0


def _error_of(outcome: Outcome) -> TransientError:
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, TransientError)
    return outcome.error


def test_a_request_that_waits_too_long_is_refused_and_never_stored() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer, commit_timeout_s=TIMEOUT_S) as pipeline:
            key = mint_key()
            error = _error_of(await pipeline.hold(make_held(10, key=key)))
            assert (error.reason, type(error)) == ("database_away", TransientError)
            assert TIMEOUT_S <= virtual_clock() < TIMEOUT_S + 1
            assert [*pipeline.keys] == []
            assert pipeline.totals() == {"refused": 10}
            writer.database.away = False
            await asyncio.sleep(30.0)
            assert writer.database.points == 0

    run_virtually(scenario())


def test_a_buffered_request_outlives_any_time_limit() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer, commit_timeout_s=TIMEOUT_S) as pipeline:
            pipeline.hold(make_held(10, answered=True))
            await asyncio.sleep(TIMEOUT_S * 10)
            assert pipeline.totals() == {"held": 10}
            writer.database.away = False
            await wait_until(lambda: not pipeline.buffer.points)
            assert pipeline.totals() == {"committed": 10}

    run_virtually(scenario())


@pytest.mark.parametrize("unknown", [False, True])
def test_a_caller_who_waits_too_long_for_a_flush_is_told_that_the_outcome_is_unknown(unknown: bool) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        async with running_pipeline(writer, commit_timeout_s=TIMEOUT_S) as pipeline:
            if unknown:
                writer.faults.append(Fault(unknown=True, committed=True))
                writer.faults.extend([Fault(ErrorClass.CONNECTION)] * 60)
            else:
                writer.gate.clear()
            held = make_held(10, key=mint_key())
            error = _error_of(await pipeline.hold(held))
            assert (type(error), error.reason) == (CommitUnknownError, "commit_unknown")
            assert pipeline.totals() == {"held": 10}
            writer.faults.clear()
            writer.gate.set()
            await wait_until(lambda: not pipeline.buffer.points)
            assert pipeline.totals() == {"committed": 10}
            pipeline.check_accounts()

    run_virtually(scenario())


def test_a_request_whose_only_caller_leaves_before_its_flush_is_not_stored() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer) as pipeline:
            held = make_held(10, key=mint_key())
            waiter = pipeline.hold(held)
            pipeline.settlement.leave(held, waiter)
            assert (pipeline.totals(), [*pipeline.keys]) == ({"refused": 10}, [])
            pipeline.check_accounts()

    run_virtually(scenario())


@pytest.mark.parametrize("answered", [False, True])
def test_a_request_that_someone_else_relies_on_stays_when_a_caller_leaves(answered: bool) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer) as pipeline:
            held = make_held(10, key=mint_key())
            waiter = pipeline.hold(held)
            pipeline.settlement.hold_repeat(held, 10, answered=answered)
            other = None if answered else pipeline.wait(held)
            pipeline.settlement.leave(held, waiter)
            assert pipeline.totals() == {"held": 20}
            writer.database.away = False
            await wait_until(lambda: not pipeline.buffer.points)
            assert pipeline.totals() == {"committed": 10, "duplicate": 10}
            assert other is None or await other == Stored(10)

    run_virtually(scenario())


def test_draining_with_the_database_away_answers_callers_at_once_and_keeps_trying_buffered_points() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer) as pipeline:
            awaited = pipeline.hold(make_held(10))
            pipeline.hold(make_held(5, answered=True))
            await asyncio.sleep(0.5)
            draining = asyncio.create_task(pipeline.flusher.drain(15.0))
            assert _error_of(await awaited).reason == "draining"
            assert virtual_clock() < 0.6
            await asyncio.sleep(5.0)
            assert pipeline.totals() == {"refused": 10, "held": 5}
            writer.database.away = False
            await draining
            assert pipeline.totals() == {"refused": 10, "committed": 5}
            assert virtual_clock() < 8.0

    run_virtually(scenario())


def test_draining_without_a_database_does_not_wait_for_an_outcome_that_nobody_is_owed() -> None:
    async def scenario() -> None:
        database = FakeDatabase()
        writer = FakeWriter(database)
        writer.faults.append(Fault(unknown=True))
        async with running_pipeline(writer) as pipeline:
            writer.gate.clear()
            awaited = pipeline.hold(make_held(10))
            await wait_until(lambda: bool(writer.flushed))
            database.away = True
            writer.gate.set()
            await wait_until(lambda: not pipeline.health.up)
            began = virtual_clock()
            await pipeline.flusher.drain(15.0)
            assert isinstance(_error_of(await awaited), CommitUnknownError)
            assert virtual_clock() - began < 1.0
        assert pipeline.flusher.abandon() == 0
        assert pipeline.totals() == {"refused": 10}, "its caller was told"
        pipeline.check_accounts()

    run_virtually(scenario())


def test_draining_ends_at_its_limit_and_what_is_left_is_abandoned_once() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase(away=True))
        async with running_pipeline(writer) as pipeline:
            pipeline.hold(make_held(5, answered=True, rejected={"name_empty": 1}))
            await pipeline.flusher.drain(15.0)
            assert 15.0 <= virtual_clock() < 15.1
        assert pipeline.flusher.abandon() == 6
        assert pipeline.flusher.abandon() == 0
        assert pipeline.totals() == {"abandoned": 6}
        pipeline.check_accounts()

    run_virtually(scenario())


def test_points_that_one_lane_gave_back_and_another_stores_are_abandoned_once() -> None:
    async def scenario() -> None:
        database = FakeDatabase()
        first, second = FakeWriter(database), FakeWriter(database)
        async with running_pipeline(first, second) as pipeline:
            await asyncio.sleep(1.0)
            for writer in (first, second):
                writer.faults.append(Fault(ErrorClass.RETRY))
            pipeline.hold(make_held(5, answered=True))
            await wait_until(lambda: len(first.flushed) + len(second.flushed) == 1)
            idle = second if first.flushed else first
            idle.faults.clear()
            idle.gate.clear()
            await asyncio.sleep(1.0)
            assert pipeline.totals() == {"held": 5}
        assert pipeline.flusher.abandon() == 5
        assert pipeline.totals() == {"abandoned": 5}
        pipeline.check_accounts()

    run_virtually(scenario())


def test_a_caller_whose_commit_is_unknown_is_told_so_when_the_server_stops() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        async with running_pipeline(writer) as pipeline:
            writer.faults.append(Fault(unknown=True, committed=True))
            held = make_held(10, key=mint_key())
            waiter = pipeline.hold(held)
            await wait_until(lambda: held.state is State.UNKNOWN)
            writer.database.away = True
            await asyncio.sleep(1.0)
            draining = asyncio.create_task(pipeline.flusher.drain(5.0))
            assert isinstance(_error_of(await waiter), CommitUnknownError)
            await draining

    run_virtually(scenario())


def test_draining_does_not_keep_callers_waiting_for_a_database_that_hangs() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        async with running_pipeline(writer) as pipeline:
            writer.gate.clear()
            storing = make_held(10)
            first = pipeline.hold(storing)
            await wait_until(lambda: storing.state is State.FLUSHING)
            second = pipeline.hold(make_held(20))
            draining = asyncio.create_task(pipeline.flusher.drain(15.0))
            began = virtual_clock()
            assert isinstance(_error_of(await first), CommitUnknownError)
            assert _error_of(await second).reason == "draining"
            assert virtual_clock() - began < 6.0
            writer.gate.set()
            await draining
            assert pipeline.totals() == {"committed": 10, "refused": 20}

    run_virtually(scenario())
