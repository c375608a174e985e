"""What waits for a lock waits by itself: without a connection, bounded, and no longer than the lock."""

import asyncio
from collections.abc import Sequence

import pytest

from ingestor.errors import TransientError
from ingestor.pipeline.buffer import BatchRules
from ingestor.storage.contract import Batch, Deferred, Failed, Outcome, Stored
from support.fake_writer import DAY_US, FakeDatabase, FakeWriter
from support.pipeline import NOON_US, Pipeline, make_held, make_points, running_pipeline, wait_until
from support.virtual_time import run_virtually, virtual_clock

LATE_US = NOON_US - 5 * DAY_US
LOCKED = TransientError("somebody has locked a chunk that it needs", reason="chunk_locked")


class LockedWriter(FakeWriter):
    """Defers the parts that touch the late chunk while it is ``locked``; ``met`` counts the flushes that met it."""

    def __init__(self, database: FakeDatabase) -> None:
        super().__init__(database)
        self.locked = True
        self.met = 0

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        late = [self.locked and part.points.first_us <= LATE_US for part in batch.parts]
        if not any(late):
            return await super().flush(batch)
        self.met += 1
        others = Batch([part for part, waits in zip(batch.parts, late, strict=True) if not waits], batch.own_key)
        stored = iter(await super().flush(others) if others.parts else [])
        chunk = ("chunk", LATE_US // DAY_US)
        return [Deferred(LOCKED, chunk, claimed=True) if waits else next(stored) for waits in late]


def _late(pipeline: Pipeline, *, answered: bool = False) -> "asyncio.Future[object]":
    held = make_held(7, answered=answered)
    held.part.points = make_points(7, at_us=LATE_US)
    return pipeline.hold(held)  # type: ignore[return-value]


def test_others_pass_and_the_lock_is_met_now_and_then_by_one_request_alone() -> None:
    async def scenario() -> None:
        writer = LockedWriter(FakeDatabase())
        async with running_pipeline(writer, commit_timeout_s=1_000) as pipeline:
            waiting = [_late(pipeline) for _ in range(20)]
            for _ in range(600):
                assert await pipeline.hold(make_held(5)) == Stored(5)
                await asyncio.sleep(0.1)
            assert not any(waiter.done() for waiter in waiting)
            assert writer.met < 80
            writer.locked = False
            async with asyncio.timeout(2.0):
                assert await asyncio.gather(*waiting) == [Stored(7)] * 20
            pipeline.check_accounts()
        assert writer.database.points == 600 * 5 + 20 * 7

    run_virtually(scenario())


def test_a_caller_whose_wait_ends_is_told_what_it_waited_for() -> None:
    async def scenario() -> None:
        async with running_pipeline(LockedWriter(FakeDatabase()), commit_timeout_s=5.0) as pipeline:
            outcome = await _late(pipeline)
            assert isinstance(outcome, Failed)
            assert isinstance(outcome.error, TransientError)
            assert outcome.error.reason == "chunk_locked"
            assert pipeline.totals() == {"refused": 7}

    run_virtually(scenario())


def test_what_waits_is_bounded_in_bytes_and_leaves_room_for_others() -> None:
    async def scenario() -> None:
        rules = BatchRules(rows=100, max_rows=250, interval_s=0.003, lazy_interval_s=0.05, limit_bytes=400_000)
        writer = LockedWriter(FakeDatabase())
        async with running_pipeline(writer, rules=rules) as pipeline:
            late = make_points(7, at_us=LATE_US)
            _late(pipeline, answered=True)
            await wait_until(lambda: writer.met > 0)
            taken = 0
            with pytest.raises(TransientError, match="locked") as refused:
                while True:
                    pipeline.buffer.check_locks(late)
                    _late(pipeline, answered=True)
                    taken += 1
            assert refused.value.reason == "chunk_locked"
            assert 10 < taken < 60
            pipeline.buffer.check_room()
            pipeline.buffer.check_locks(make_points(7))
            assert await pipeline.hold(make_held(5)) == Stored(5)

    run_virtually(scenario())


def test_what_waits_is_tried_often_when_the_server_stops() -> None:
    async def scenario() -> None:
        writer = LockedWriter(FakeDatabase())
        async with running_pipeline(writer) as pipeline:
            _late(pipeline, answered=True)
            await asyncio.sleep(30)
            drained = asyncio.create_task(pipeline.flusher.drain(20.0))
            await asyncio.sleep(0.3)
            writer.locked = False
            unlocked_at = virtual_clock()
            await drained
            assert virtual_clock() - unlocked_at < 0.2
            assert pipeline.totals() == {"committed": 7}

    run_virtually(scenario())
