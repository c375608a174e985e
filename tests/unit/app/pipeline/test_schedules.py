"""Whatever arrives, fails, leaves and comes back in whatever order: every point has one true outcome."""

import asyncio
import uuid
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestor.errors import CommitUnknownError
from ingestor.keys import mint_key
from ingestor.pipeline.buffer import MAX_CHUNKS
from ingestor.pipeline.held import Held
from ingestor.storage.contract import Duplicate, ErrorClass, Failed, Settled, Stored
from support.fake_writer import FakeDatabase, FakeWriter, Fault
from support.pipeline import Pipeline, make_held, running_pipeline, wait_until
from support.virtual_time import run_virtually

COMMIT_TIMEOUT_S = 20.0


@dataclass
class Caller:
    """One caller: its request, and what it waits for, None where it was answered at once."""

    held: Held
    waiter: asyncio.Future[Settled] | None


@dataclass
class World:
    """The pipeline, its two lanes, and everybody who called."""

    pipeline: Pipeline
    writers: list[FakeWriter]
    database: FakeDatabase
    callers: list[Caller] = field(default_factory=list)

    def send(self, count: int, keyed: bool, answered: bool, wide: bool, key: uuid.UUID | None = None) -> None:
        """Let a request arrive."""
        days = MAX_CHUNKS + 1 if wide else 1
        own_key = key or (mint_key() if keyed else None)
        held = make_held(count, days=days, key=own_key, digest=count, answered=answered, rejected={"name_empty": 1})
        waiter = self.pipeline.hold(held)
        if answered:
            held.waiters.remove(waiter)
        self.callers.append(Caller(held, None if answered else waiter))

    def repeat(self, which: int, answered: bool) -> None:
        """Let a request with a key come again, to wait along where the first is still held."""
        keyed = [caller.held for caller in self.callers if caller.held.part.key]
        if not keyed:
            return
        first = keyed[which % len(keyed)]
        key = first.part.key
        assert key is not None
        held = self.pipeline.keys.find(key, first.part.digest)
        if held is None:
            self.send(len(first.part.points), True, answered, False, key)
            return
        self.pipeline.settlement.hold_repeat(held, first.received, answered=answered)
        self.callers.append(Caller(held, None if answered else self.pipeline.wait(held)))

    def leave(self, which: int) -> None:
        """Let a caller go away as a cancelled call does."""
        waiting = [caller for caller in self.callers if caller.waiter and not caller.waiter.done()]
        if waiting:
            caller = waiting[which % len(waiting)]
            assert caller.waiter is not None
            caller.waiter.cancel()
            self.pipeline.settlement.leave(caller.held, caller.waiter)

    def fail_next(self, lane: int, fault: Fault) -> None:
        """Let something go wrong in a lane's next flush."""
        self.writers[lane].faults.append(fault)

    def outage(self, away: bool) -> None:
        """Take the database away, or bring it back."""
        self.database.away = away

    def check_truth(self) -> None:
        """Assert that no part is stored twice and that every answer says what holds."""
        stored = self.database.stored
        assert len({id(part) for part in stored}) == len(stored)
        keys = [part.key for part in stored if part.key]
        assert len(set(keys)) == len(keys)
        ids = {id(part) for part in stored}
        for caller in self.callers:
            if caller.waiter is None or not caller.waiter.done() or caller.waiter.cancelled():
                continue
            outcome, part = caller.waiter.result(), caller.held.part
            if isinstance(outcome, Stored):
                assert id(part) in ids
            elif isinstance(outcome, Duplicate):
                assert part.key in keys
            elif isinstance(outcome, Failed) and not isinstance(outcome.error, CommitUnknownError):
                assert id(part) not in ids or part.answered


faults = st.one_of(
    st.builds(Fault, st.sampled_from([*ErrorClass])),
    st.builds(
        Fault, unknown=st.just(True), committed=st.booleans(), limited=st.sampled_from([frozenset(), frozenset({1})])
    ),
    st.builds(Fault, limited=st.sampled_from([frozenset({0}), frozenset({1, 2})])),
)
sends = st.tuples(
    st.just("send"), st.sampled_from([1, 5, 100, 260]), st.booleans(), st.booleans(), st.sampled_from([False, True])
)
failures = st.tuples(st.just("fail_next"), st.integers(0, 1), faults)
steps = st.one_of(
    sends,
    sends,
    sends,
    failures,
    failures,
    st.tuples(st.just("repeat"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("outage"), st.booleans()),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.001, 0.01, 0.11, 1.0, 25.0])),
)


async def _play(schedule: list[tuple[object, ...]], *, forced_exit: bool) -> None:
    database = FakeDatabase()
    writers = [FakeWriter(database, flush_s=0.005), FakeWriter(database, flush_s=0.02)]
    async with running_pipeline(*writers, commit_timeout_s=COMMIT_TIMEOUT_S) as pipeline:
        world = World(pipeline, writers, database)
        for name, *arguments in schedule:
            if name == "sleep":
                await asyncio.sleep(float(str(arguments[0])))
            else:
                getattr(world, str(name))(*arguments)
            pipeline.check_accounts()
            world.check_truth()
        if not forced_exit:
            database.away = False
            await wait_until(lambda: not pipeline.buffer.points)
    pipeline.flusher.abandon()
    pipeline.check_accounts()
    world.check_truth()
    assert (pipeline.buffer.points, pipeline.buffer.size_bytes, [*pipeline.keys]) == (0, 0, [])
    assert all(caller.waiter is None or caller.waiter.done() for caller in world.callers)
    if not forced_exit:
        assert pipeline.accounting.abandoned == 0
        assert pipeline.accounting.committed == database.points


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=8, max_size=40), st.booleans())
def test_any_schedule_of_requests_and_failures_stores_once_and_adds_up(
    schedule: list[tuple[object, ...]], forced_exit: bool
) -> None:
    run_virtually(_play(schedule, forced_exit=forced_exit))
