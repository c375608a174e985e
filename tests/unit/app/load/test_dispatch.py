"""The dispatcher bounds what is in flight, measures from the intended moment, and stops in order."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ingestor.client.attempts import Attempts
from ingestor.client.clock import Clock
from ingestor.client.encode import Method, Request
from ingestor.client.sender import Outcome, Verdict
from ingestor.load.dispatch import Dispatcher
from ingestor.load.feeds import DueRequest
from ingestor.load.totals import Totals
from support.skipping_clock import SkippingClock

REQUEST = Request(Method.WRITE, b"", 10)
ACKED = Outcome(Verdict.ACKED, accepted_points=10)


class FakeSender:
    """Answers when told to; ``took_s`` is how long that took by the clock."""

    def __init__(self, clock: SkippingClock | None = None, took_s: float = 0.0) -> None:
        self.clock, self.took_s = clock, took_s
        self.answering = asyncio.Event()
        self.in_flight = self.most_in_flight = 0
        self._begun = asyncio.Event()

    async def until_in_flight(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.in_flight < count:
                self._begun.clear()
                await self._begun.wait()

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        self.in_flight += 1
        self._begun.set()
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.answering.wait()
            if self.clock:
                self.clock.now_s += self.took_s
            return ACKED
        finally:
            self.in_flight -= 1


async def feed(count: int, due_s: float | None = None) -> AsyncGenerator[DueRequest, None]:
    for _ in range(count):
        yield due_s, REQUEST


async def endless() -> AsyncGenerator[DueRequest, None]:
    while True:
        yield None, REQUEST


def dispatcher(
    sender: FakeSender, totals: Totals, slots: int, clock: Clock | None = None, drain_s: float = 5.0
) -> Dispatcher:
    return Dispatcher(sender, totals, slots=slots, drain_s=drain_s, clock=clock or Clock())


async def test_no_more_than_the_slots_are_in_flight() -> None:
    sender, totals = FakeSender(), Totals()
    running = asyncio.create_task(dispatcher(sender, totals, 3).run(feed(10), asyncio.Event(), None))
    await sender.until_in_flight(3)
    sender.answering.set()
    await running
    assert sender.most_in_flight == 3
    assert totals.acked_points == totals.sent_points == 100


async def test_open_loop_latency_counts_from_the_intended_moment() -> None:
    clock, totals = SkippingClock(), Totals()
    clock.now_s = 7.0
    sender = FakeSender(clock, took_s=1.0)
    sender.answering.set()
    await dispatcher(sender, totals, 1, clock).run(feed(1, due_s=5.0), asyncio.Event(), None)
    assert totals.latencies.max_s == pytest.approx(3.0)


async def test_closed_loop_latency_counts_from_the_moment_the_slot_was_free() -> None:
    clock, totals = SkippingClock(), Totals()
    sender = FakeSender(clock, took_s=1.0)
    sender.answering.set()
    await dispatcher(sender, totals, 1, clock).run(feed(3), asyncio.Event(), None)
    assert clock.now_s == 3.0
    assert totals.latencies.max_s == pytest.approx(1.0)


async def test_stopping_waits_for_what_is_in_flight() -> None:
    sender, totals, stop = FakeSender(), Totals(), asyncio.Event()
    running = asyncio.create_task(dispatcher(sender, totals, 4).run(endless(), stop, None))
    await sender.until_in_flight(4)
    stop.set()
    await asyncio.sleep(0)
    sender.answering.set()
    await running
    assert totals.acked_points == totals.sent_points
    assert totals.unanswered_points == 0


async def test_stopping_gives_up_waiting_after_a_while() -> None:
    sender, totals, stop = FakeSender(), Totals(), asyncio.Event()
    running = asyncio.create_task(dispatcher(sender, totals, 4, drain_s=0.02).run(endless(), stop, None))
    await sender.until_in_flight(4)
    stop.set()
    await running
    assert totals.unanswered_points == totals.sent_points == 40


async def test_stopping_also_ends_the_wait_for_the_last_answers() -> None:
    sender, totals, stop = FakeSender(), Totals(), asyncio.Event()
    running = asyncio.create_task(dispatcher(sender, totals, 4, drain_s=0.02).run(feed(3), stop, None))
    await sender.until_in_flight(3)
    stop.set()
    async with asyncio.timeout(5):
        await running
    assert totals.unanswered_points == 30


async def test_when_time_is_up_nothing_more_is_sent_and_answers_are_awaited() -> None:
    sender, totals = FakeSender(), Totals()
    running = asyncio.create_task(dispatcher(sender, totals, 2).run(endless(), asyncio.Event(), 0.02))
    await sender.until_in_flight(2)
    done, _ = await asyncio.wait({running}, timeout=0.1)
    assert not done
    sender.answering.set()
    await running
    assert totals.sent_points == totals.acked_points == 20


async def test_a_bug_in_the_feed_is_not_taken_for_the_end() -> None:
    async def broken() -> AsyncGenerator[DueRequest, None]:
        yield None, REQUEST
        raise TimeoutError("not ours")

    sender = FakeSender()
    sender.answering.set()
    with pytest.raises(ExceptionGroup):
        await dispatcher(sender, Totals(), 2).run(broken(), asyncio.Event(), 60.0)


class ScriptedSender:
    """Ends each request as told: after how long by the clock, and how."""

    def __init__(self, clock: SkippingClock, *ends: tuple[float, Outcome]) -> None:
        self.clock, self.ends = clock, list(ends)

    async def send(self, request: Request, attempts: Attempts) -> Outcome:
        took_s, outcome = self.ends.pop(0)
        self.clock.now_s += took_s
        return outcome


LOST = Outcome(Verdict.GIVEN_UP, status="UNAVAILABLE")


@pytest.mark.parametrize(
    ("ends", "longest_s"),
    [
        ([], 0.0),
        ([(1.0, ACKED), (4.0, ACKED), (2.0, ACKED)], 4.0),
        ([(5.0, ACKED), (1.0, ACKED)], 5.0),
        ([(1.0, ACKED), (3.0, LOST), (2.0, ACKED), (1.0, LOST)], 5.0),
        ([(1.0, ACKED), (3.0, LOST), (2.0, LOST)], 5.0),
        ([(3.0, LOST), (2.0, LOST)], 5.0),
    ],
)
async def test_the_longest_pause_is_between_acknowledgements_start_and_end(
    ends: list[tuple[float, Outcome]], longest_s: float
) -> None:
    clock, totals = SkippingClock(), Totals()
    clock.now_s = 100.0
    sender = ScriptedSender(clock, *ends)
    dispatched = Dispatcher(sender, totals, slots=1, drain_s=5.0, clock=clock)
    await dispatched.run(feed(len(ends)), asyncio.Event(), None)
    assert totals.pauses.longest_s == pytest.approx(longest_s)
