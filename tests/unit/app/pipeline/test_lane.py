"""What one connection does about each kind of failure: nothing is lost, doubled, or counted twice."""

import asyncio
from collections.abc import Sequence

import pytest

from ingestor.errors import PermanentError, TransientError
from ingestor.keys import mint_key
from ingestor.pipeline.buffer import MAX_CHUNKS
from ingestor.pipeline.lane import HOUSEKEEPING_INTERVAL_S, IDLE_CHECK_S
from ingestor.storage.contract import Batch, Duplicate, ErrorClass, Failed, Outcome, Stored
from support.fake_writer import FakeDatabase, FakeWriter, Fault
from support.pipeline import make_held, running_pipeline, wait_until
from support.virtual_time import run_virtually, virtual_clock

SAME_CONNECTION = [ErrorClass.RETRY, ErrorClass.SCHEMA, ErrorClass.UNKNOWN, ErrorClass.DISK_FULL]


def _error_of(outcome: Outcome) -> Exception:
    assert isinstance(outcome, Failed)
    return outcome.error


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("error_class", [ErrorClass.CONNECTION, *SAME_CONNECTION])
def test_a_failed_flush_is_tried_again_until_it_is_stored_once(error_class: ErrorClass, answered: bool) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.extend([Fault(error_class)] * 3)
        async with running_pipeline(writer) as pipeline:
            outcome = await pipeline.hold(make_held(10, answered=answered))
            assert outcome == Stored(10)
            assert pipeline.totals() == {"committed": 10}
            pipeline.check_accounts()
            assert writer.connects == (1 if error_class in SAME_CONNECTION else 4)
        assert writer.database.points == 10

    run_virtually(scenario())


@pytest.mark.parametrize("error_class", ErrorClass)
def test_a_connection_that_can_not_be_made_is_tried_until_it_can(error_class: ErrorClass) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.connect_faults.extend([error_class] * 5)
        async with running_pipeline(writer) as pipeline:
            assert await pipeline.hold(make_held(10)) == Stored(10)
            assert virtual_clock() < 15.0
        assert writer.database.points == 10

    run_virtually(scenario())


def test_a_batch_that_is_too_large_is_halved_until_the_one_request_at_fault_is_alone() -> None:
    class SmallWriter(FakeWriter):
        async def flush(self, batch: Batch) -> Sequence[Outcome]:
            if any(len(part.points) == 13 for part in batch.parts):
                self.faults.append(Fault(ErrorClass.SPLIT))
            return await super().flush(batch)

    async def scenario() -> None:
        async with running_pipeline(SmallWriter(FakeDatabase())) as pipeline:
            waiters = [pipeline.hold(make_held(count)) for count in (5, 5, 13, 5, 5, 5)]
            outcomes = await asyncio.gather(*waiters)
            refusal = _error_of(outcomes.pop(2))
            assert isinstance(refusal, PermanentError)
            assert refusal.reason == "too_wide"
            assert outcomes == [Stored(5)] * 5
            assert pipeline.totals() == {"committed": 25, "refused": 13}
            pipeline.check_accounts()

    run_virtually(scenario())


def test_a_request_that_fails_others_with_it_goes_alone_after_two_failures() -> None:
    class PoisonedWriter(FakeWriter):
        async def flush(self, batch: Batch) -> Sequence[Outcome]:
            if any(len(part.points) == 13 for part in batch.parts):
                self.faults.append(Fault(ErrorClass.RETRY))
            return await super().flush(batch)

    async def scenario() -> None:
        writer = PoisonedWriter(FakeDatabase())
        async with running_pipeline(writer, commit_timeout_s=5.0) as pipeline:
            waiters = [pipeline.hold(make_held(count)) for count in (5, 13, 5)]
            outcomes = await asyncio.gather(*waiters)
            refusal = _error_of(outcomes.pop(1))
            assert isinstance(refusal, TransientError)
            assert refusal.reason == "commit_timeout"
            assert outcomes == [Stored(5)] * 2
            pipeline.check_accounts()

    run_virtually(scenario())


def test_one_request_that_the_database_has_no_memory_for_is_tried_again_and_not_refused() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.extend([Fault(ErrorClass.MEMORY)] * 3)
        async with running_pipeline(writer) as pipeline:
            assert await pipeline.hold(make_held(10)) == Stored(10)
            pipeline.check_accounts()

    run_virtually(scenario())


def test_the_second_half_of_a_split_batch_survives_a_connection_lost_in_the_first() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.extend([Fault(ErrorClass.SPLIT), Fault(ErrorClass.CONNECTION)])
        async with running_pipeline(writer) as pipeline:
            outcomes = await asyncio.gather(*(pipeline.hold(make_held(count)) for count in (1, 2, 3, 4)))
            assert outcomes == [Stored(1), Stored(2), Stored(3), Stored(4)]
            pipeline.check_accounts()
        assert writer.database.points == 10

    run_virtually(scenario())


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("losses", [1, 3])
def test_a_commit_of_unknown_outcome_is_found_out_and_answered_as_stored(
    keyed: bool, committed: bool, losses: int
) -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.append(Fault(unknown=True, committed=committed))
        writer.faults.extend([Fault(unknown=True, committed=True)] * (losses - 1))
        async with running_pipeline(writer) as pipeline:
            keys = [mint_key() if keyed else None for _ in range(3)]
            outcomes = await asyncio.gather(*(pipeline.hold(make_held(10, key=key)) for key in keys))
            assert outcomes == [Stored(10)] * 3
            assert pipeline.totals() == {"committed": 30}
            pipeline.check_accounts()
        assert writer.database.points == 30
        assert len({batch.own_key for batch in writer.flushed}) == 1

    run_virtually(scenario())


def test_a_keyless_request_left_out_of_a_commit_of_unknown_outcome_is_not_called_stored() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.append(Fault(unknown=True, committed=True, limited=frozenset({1})))
        async with running_pipeline(writer) as pipeline:
            waiters = [pipeline.hold(make_held(10)), pipeline.hold(make_held(7))]
            kept, left_out = await asyncio.gather(*waiters)
            assert kept == Stored(10)
            assert writer.database.points == 10
            assert isinstance(_error_of(left_out), TransientError)
            pipeline.check_accounts()

    run_virtually(scenario())


def test_a_buffered_keyless_request_left_out_of_a_commit_of_unknown_outcome_is_stored_later() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.append(Fault(unknown=True, committed=True, limited=frozenset({1})))
        async with running_pipeline(writer) as pipeline:
            pipeline.hold(make_held(10, answered=True))
            pipeline.hold(make_held(7, answered=True))
            await wait_until(lambda: not pipeline.buffer.points)
            assert pipeline.totals() == {"committed": 17}
        assert writer.database.points == 17

    run_virtually(scenario())


def test_a_request_over_a_limit_is_refused_while_its_batch_is_stored() -> None:
    async def scenario() -> None:
        writer = FakeWriter(FakeDatabase())
        writer.faults.append(Fault(limited=frozenset({0})))
        async with running_pipeline(writer) as pipeline:
            refused, stored = await asyncio.gather(pipeline.hold(make_held(7)), pipeline.hold(make_held(10)))
            assert isinstance(_error_of(refused), TransientError)
            assert stored == Stored(10)
            assert pipeline.totals() == {"committed": 10, "refused": 7}

    run_virtually(scenario())


def test_a_key_that_another_server_has_stored_is_a_duplicate() -> None:
    async def scenario() -> None:
        database, key = FakeDatabase(), mint_key()
        for expected in (Stored(10), Duplicate(10, 0)):
            async with running_pipeline(FakeWriter(database)) as pipeline:
                assert await pipeline.hold(make_held(10, key=key)) == expected
                assert [*pipeline.keys] == []
        assert database.points == 10

    run_virtually(scenario())


def test_fresh_requests_pass_a_wide_one_on_the_other_connection() -> None:
    async def scenario() -> None:
        database = FakeDatabase()
        first, second = FakeWriter(database), FakeWriter(database)
        async with running_pipeline(first, second) as pipeline:
            first.gate.clear()
            second.gate.clear()
            slow = pipeline.hold(make_held(10, days=MAX_CHUNKS + 1))
            await wait_until(lambda: bool(first.flushed or second.flushed))
            other = second if first.flushed else first
            other.gate.set()
            assert await pipeline.hold(make_held(5)) == Stored(5)
            assert not slow.done()
            first.gate.set()
            second.gate.set()
            assert await slow == Stored(10)

    run_virtually(scenario())


def test_house_is_kept_once_a_minute_by_all_lanes_together() -> None:
    async def scenario() -> None:
        writers = [FakeWriter(FakeDatabase()), FakeWriter(FakeDatabase())]
        async with running_pipeline(*writers):
            await asyncio.sleep(HOUSEKEEPING_INTERVAL_S * 5 + 1)
            assert sum(writer.housekeepings for writer in writers) == 6

    run_virtually(scenario())


def test_a_retention_is_known_from_the_start_and_within_a_minute_of_each_change() -> None:
    async def scenario() -> None:
        database = FakeDatabase(retention_us=10)
        async with running_pipeline(FakeWriter(database), FakeWriter(database)) as pipeline:
            await wait_until(lambda: pipeline.retention.us == 10, timeout_s=1)
            for changed in (5, 20, None, 7):
                database.retention_us = changed
                await asyncio.sleep(60)
                assert pipeline.retention.us == changed

    run_virtually(scenario())


def test_a_database_that_goes_away_without_traffic_is_noticed_soon() -> None:
    async def scenario() -> None:
        database = FakeDatabase()
        async with running_pipeline(FakeWriter(database), FakeWriter(database)) as pipeline:
            await asyncio.sleep(IDLE_CHECK_S)
            assert pipeline.health.up
            database.away = True
            await asyncio.sleep(IDLE_CHECK_S * 2 + 0.1)
            assert not pipeline.health.up
            database.away = False
            await asyncio.sleep(2)
            assert pipeline.health.up

    run_virtually(scenario())
