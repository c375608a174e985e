"""When a batch is due, what goes into it, and when there is no room."""

import asyncio
import math

import pytest

from ingestor.errors import TransientError
from ingestor.pipeline.buffer import BatchRules, Buffer
from ingestor.pipeline.held import Held, State
from support.pipeline import RULES, make_held
from support.virtual_time import run_virtually, virtual_clock


async def _taken_at(buffer: Buffer, until: float = 3_600.0) -> tuple[float, list[Held]]:
    taken = await buffer.take(until)
    return virtual_clock(), taken


def test_an_idle_connection_takes_a_lone_request_at_once() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        held = make_held()
        buffer.add(held)
        assert await _taken_at(buffer) == (0.0, [held])
        assert held.state is State.FLUSHING

    run_virtually(scenario())


@pytest.mark.parametrize(("answered", "interval_s"), [(False, RULES.interval_s), (True, RULES.lazy_interval_s)])
def test_a_second_flush_waits_for_the_interval_of_those_who_wait(answered: bool, interval_s: float) -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        buffer.add(make_held())
        await buffer.take(1.0)
        second, third = make_held(answered=answered), make_held(answered=True)
        buffer.add(second)
        buffer.add(third)
        at, taken = await _taken_at(buffer)
        assert at == pytest.approx(interval_s)
        assert taken == [second, third]

    run_virtually(scenario())


def test_rows_enough_for_a_batch_do_not_wait_for_the_interval() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        buffer.add(make_held())
        await buffer.take(1.0)
        buffer.add(make_held(RULES.rows))
        at, taken = await _taken_at(buffer)
        assert (at, len(taken)) == (0.0, 1)

    run_virtually(scenario())


def test_a_caller_who_comes_while_a_lazy_flush_is_awaited_brings_it_forward() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        buffer.add(make_held())
        await buffer.take(1.0)
        buffer.add(make_held(answered=True))
        taking = asyncio.create_task(_taken_at(buffer))
        await asyncio.sleep(0.01)
        buffer.add(make_held())
        at, taken = await taking
        assert at == pytest.approx(0.01)
        assert len(taken) == 2

    run_virtually(scenario())


def test_a_repeat_that_is_answered_at_once_makes_a_flush_lazy() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        buffer.add(make_held())
        await buffer.take(1.0)
        held = make_held()
        buffer.add(held)
        buffer.mark_answered(held)
        buffer.mark_answered(held)
        assert (await _taken_at(buffer))[0] == pytest.approx(RULES.lazy_interval_s)

    run_virtually(scenario())


@pytest.mark.parametrize("count", [1, RULES.rows])
def test_a_taker_that_sleeps_is_woken_by_the_first_request(count: int) -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        taking = asyncio.create_task(_taken_at(buffer))
        await asyncio.sleep(5.0)
        buffer.add(make_held(count))
        at, taken = await taking
        assert (at, len(taken)) == (5.0, 1)

    run_virtually(scenario())


def test_a_taker_gives_up_with_nothing_at_its_deadline() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        assert await _taken_at(buffer, until=7.0) == (7.0, [])

    run_virtually(scenario())


def test_a_taker_that_is_cancelled_takes_nothing_with_it() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        taking = asyncio.create_task(buffer.take(100.0))
        await asyncio.sleep(1.0)
        held = make_held()
        buffer.add(held)
        taking.cancel()
        await asyncio.wait([taking])
        assert taking.cancelled()
        assert [*buffer] == [held]
        assert (await buffer.take(2.0)) == [held]

    run_virtually(scenario())


def test_a_batch_ends_before_the_request_that_does_not_fit() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        first, second, third = make_held(200), make_held(50), make_held(1)
        for held in (first, second, third):
            buffer.add(held)
        assert await buffer.take(1.0) == [first, second]
        assert await buffer.take(1.0) == [third]

    run_virtually(scenario())


def test_a_request_larger_than_a_batch_goes_alone() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        large, small = make_held(RULES.max_rows + 1), make_held()
        buffer.add(large)
        buffer.add(small)
        assert await buffer.take(1.0) == [large]
        assert await buffer.take(1.0) == [small]

    run_virtually(scenario())


def test_a_batch_touches_no_more_chunks_than_one_flush_may() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        first, second = make_held(days=32), make_held(days=33)
        other_time = make_held(days=1)
        object.__setattr__(other_time.part.points, "first_us", 0)
        object.__setattr__(other_time.part.points, "last_us", 0)
        for held in (first, other_time):
            buffer.add(held)
        assert await buffer.take(1.0) == [first]
        assert await buffer.take(1.0) == [other_time]
        buffer.add(second)
        assert await buffer.take(1.0) == [second]

    run_virtually(scenario())


def _limited(limit_bytes: int) -> Buffer:
    return Buffer(BatchRules(100, 250, 0.003, 0.05, limit_bytes), lambda: 0.0)


def test_a_full_buffer_refuses_until_it_is_below_the_low_watermark() -> None:
    one = make_held().size_bytes
    buffer = _limited(one * 100)
    helds = [make_held() for _ in range(80)]
    for held in helds:
        buffer.check_room()
        buffer.add(held)
    with pytest.raises(TransientError) as refused:
        buffer.check_room()
    assert refused.value.reason == "buffer_full"
    for held in helds[:20]:
        buffer.remove(held)
    with pytest.raises(TransientError):
        buffer.check_room()  # exactly at the low watermark
    buffer.remove(helds[20])
    buffer.check_room()
    for _ in range(20):
        buffer.check_room()
        buffer.add(make_held())


def test_what_is_being_stored_still_takes_room() -> None:
    async def scenario() -> None:
        held = make_held(10)
        buffer = Buffer(BatchRules(1, 250, 0, 0, held.size_bytes), virtual_clock)
        buffer.add(held)
        await buffer.take(1.0)
        with pytest.raises(TransientError):
            buffer.check_room()
        assert (buffer.points, buffer.size_bytes) == (10, held.size_bytes)
        buffer.remove(held)
        buffer.check_room()
        assert (buffer.points, buffer.size_bytes) == (0, 0)

    run_virtually(scenario())


def test_a_request_given_back_is_counted_once_and_taken_again() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        held = make_held(10, rejected={"name_empty": 2})
        buffer.add(held)
        before = (buffer.points, buffer.size_bytes)
        for _ in range(3):
            assert await buffer.take(math.inf) == [held]
            buffer.give_back(held)
            assert held.state is State.WAITING
            assert (buffer.points, buffer.size_bytes) == before == (12, held.size_bytes)
        buffer.remove(held)
        assert (buffer.points, buffer.size_bytes, [*buffer]) == (0, 0, [])

    run_virtually(scenario())


def test_repeats_are_counted_with_the_request_they_wait_for_and_leave_with_it() -> None:
    buffer = Buffer(RULES, lambda: 0.0)
    held = make_held(10)
    buffer.add(held)
    buffer.add_repeat(held, 10)
    buffer.add_repeat(held, 10)
    assert buffer.points == held.points == 30
    buffer.remove(held)
    assert buffer.points == 0
