"""The work queue: once in it, one worker at a time, later again after a failure."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count, pairwise

import pytest

from ingestor_operator.errors import ClusterError
from ingestor_operator.queue import MAX_DELAY_S, Key, WorkQueue, retry_delay_s
from support.virtual_time import run_virtually, virtual_clock

_TICKS = count()


def clock() -> float:
    """Return virtual time that, as real time does, never stands still: a rest too short for the loop passes too."""
    return virtual_clock() + next(_TICKS) * 1e-9


A, B, C = ("team", "a"), ("team", "b"), ("team", "c")


Work = Callable[[Key], Awaitable[float | None]]


@asynccontextmanager
async def working(queue: WorkQueue, process: Work, workers: int = 2) -> AsyncIterator[None]:
    """Let the queue work meanwhile."""
    task = asyncio.create_task(queue.run(workers, process))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def work(queue: WorkQueue, process: Work, for_s: float, workers: int = 2) -> None:
    """Let the queue work for a time."""
    async with working(queue, process, workers):
        await asyncio.sleep(for_s)


class Recorder:
    """Notes who was worked on when; each work takes ``takes_s`` and asks for the next after ``again_s``."""

    def __init__(self, takes_s: float = 1.0, again_s: float | None = None) -> None:
        self.takes_s = takes_s
        self.again_s = again_s
        self.started: list[tuple[float, Key]] = []
        self.running: Counter[Key] = Counter()
        self.most: Counter[Key] = Counter()
        self.failing: dict[Key, BaseException] = {}

    async def __call__(self, key: Key) -> float | None:
        self.started.append((virtual_clock(), key))
        self.running[key] += 1
        self.most[key] = max(self.most[key], self.running[key])
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running[key] -= 1
        if key in self.failing:
            raise self.failing[key]
        return self.again_s

    def times(self, key: Key) -> list[float]:
        """Return when work on a key began."""
        return [round(at, 2) for at, started in self.started if started == key]


def test_many_wishes_are_one_piece_of_work() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder()
        for _ in range(5):
            queue.add(A)
        await work(queue, recorder, 10)
        assert recorder.times(A) == [0]

    run_virtually(scenario())


def test_the_earliest_wish_counts() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder()
        queue.add(A, 60)
        queue.add(A, 5)
        queue.add(A, 30)
        await work(queue, recorder, 100)
        assert recorder.times(A) == [5]

    run_virtually(scenario())


def test_a_wish_wakes_workers_that_wait_for_a_later_one() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder()
        queue.add(A, 50)
        async with working(queue, recorder, workers=2):
            await asyncio.sleep(10)
            queue.add(B)
            await asyncio.sleep(1)
            assert recorder.times(B) == [10]

    run_virtually(scenario())


def test_a_wish_during_the_work_leads_to_one_more_and_never_to_two_at_once() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=10)
        queue.add(A)
        async with working(queue, recorder, workers=4):
            await asyncio.sleep(1)
            queue.add(A)
            queue.add(A)
            await asyncio.sleep(50)
            assert recorder.times(A) == [0, 10]
            assert recorder.most[A] == 1

    run_virtually(scenario())


def test_work_that_asks_for_it_is_done_again() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=1, again_s=4)
        queue.add(A)
        await work(queue, recorder, 14)
        assert recorder.times(A) == [0, 5, 10]

    run_virtually(scenario())


def test_failures_are_retried_ever_later_and_forgotten_after_a_success() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=0)
        recorder.failing[A] = ClusterError("away")
        queue.add(A)
        async with working(queue, recorder, workers=1):
            await asyncio.sleep(300)
            times = recorder.times(A)
            pauses = [after - before for before, after in pairwise(times)]
            for number, pause in enumerate(pauses[:6]):
                assert 0.79 * 2**number <= pause <= 1.21 * 2**number
            assert max(pauses) <= MAX_DELAY_S * 1.21
            del recorder.failing[A]
            await asyncio.sleep(100)
            recorder.failing[A] = ClusterError("away")
            recorder.started.clear()
            queue.add(A)
            await asyncio.sleep(1.5)
            assert len(recorder.times(A)) == 2

    run_virtually(scenario())


@pytest.mark.parametrize("error", [ClusterError("away"), TimeoutError(), KeyError("a bug")])
def test_one_that_fails_does_not_stop_the_others(error: Exception) -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=0.1, again_s=1)
        recorder.failing[A] = error
        for key in (A, B, C):
            queue.add(key)
        await work(queue, recorder, 60, workers=1)
        assert len(recorder.times(A)) > 5
        assert min(len(recorder.times(B)), len(recorder.times(C))) > 40

    run_virtually(scenario())


def test_who_waits_longest_is_next() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=1, again_s=0)
        for key in (A, B, C):
            queue.add(key)
        await work(queue, recorder, 29.5, workers=1)
        assert {key: len(recorder.times(key)) for key in (A, B, C)} == {A: 10, B: 10, C: 10}

    run_virtually(scenario())


def test_slow_work_leaves_the_other_workers_to_the_others() -> None:
    async def scenario() -> None:
        queue = WorkQueue(clock)
        done: list[Key] = []

        async def process(key: Key) -> None:
            await asyncio.sleep(1000 if key == A else 1)
            done.append(key)

        for key in (A, B, C):
            queue.add(key)
        await work(queue, process, 10)
        assert done == [B, C]

    run_virtually(scenario())


def test_what_waits_and_what_runs_is_measured() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=30)
        assert (queue.waiting, queue.oldest_wait_s, queue.longest_running_s, queue.standstill_s) == (0, 0, 0, 0)
        queue.add(A)
        queue.add(B)
        queue.add(C, 100)
        async with working(queue, recorder, workers=1):
            await asyncio.sleep(10)
            assert (queue.waiting, round(queue.oldest_wait_s), round(queue.longest_running_s)) == (1, 10, 10)
            await asyncio.sleep(25)
            assert round(queue.standstill_s) == 0  # B was taken

    run_virtually(scenario())


def test_work_that_moves_on_slowly_is_no_standstill() -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder(takes_s=90)
        for number in range(20):
            queue.add(("team", f"m{number}"))
        async with working(queue, recorder, workers=1):
            await asyncio.sleep(1000)
            assert round(queue.oldest_wait_s) == 1000
            assert queue.standstill_s < 91

    run_virtually(scenario())


@pytest.mark.parametrize("turns", range(6))
def test_it_stops_at_once_also_where_a_wish_comes_at_the_same_moment(turns: int) -> None:
    async def scenario() -> None:
        queue, recorder = WorkQueue(clock), Recorder()
        task = asyncio.create_task(queue.run(2, recorder))
        await asyncio.sleep(10)
        queue.add(A, 5)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.done()

    run_virtually(scenario())


def test_the_pause_grows_to_its_bound_and_no_further() -> None:
    assert 0.8 <= retry_delay_s(1) <= 1.2
    assert all(retry_delay_s(count) <= MAX_DELAY_S * 1.2 for count in (7, 100, 10_000))
