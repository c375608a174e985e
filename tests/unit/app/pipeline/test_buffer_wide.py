"""Requests that touch many chunks go alone and one at a time, and hold up nobody."""

import asyncio

import pytest

from ingestor.pipeline.buffer import MAX_CHUNKS, Buffer
from support.pipeline import RULES, make_held
from support.virtual_time import run_virtually, virtual_clock

WIDE = MAX_CHUNKS + 1


def test_a_wide_request_goes_alone() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        fresh, wide, later = make_held(), make_held(days=WIDE), make_held()
        for held in (fresh, wide, later):
            buffer.add(held)
        batches = [await buffer.take(1.0), await buffer.take(1.0)]
        assert sorted(map(len, batches)) == [1, 2]
        assert [wide] in batches
        assert [fresh, later] in batches

    run_virtually(scenario())


def test_a_request_of_as_many_chunks_as_a_flush_may_touch_is_not_wide() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        first, second = make_held(days=MAX_CHUNKS), make_held(days=MAX_CHUNKS)
        buffer.add(first)
        buffer.add(second)
        assert await buffer.take(1.0) == [first, second]

    run_virtually(scenario())


def test_the_chunks_of_a_request_are_counted_by_the_interval_that_the_database_has() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        buffer.chunk_us = 3_600_000_000
        wide, fresh = make_held(days=3), make_held()
        buffer.add(wide)
        buffer.add(fresh)
        assert len(await buffer.take(1.0)) == 1

    run_virtually(scenario())


def test_the_second_wide_request_waits_for_the_first_while_fresh_ones_pass() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        first, second = make_held(days=WIDE), make_held(days=WIDE)
        buffer.add(first)
        buffer.add(second)
        assert await buffer.take(1.0) == [first]
        taking = asyncio.create_task(buffer.take(3_600.0))
        await asyncio.sleep(10.0)
        assert not taking.done()
        fresh = make_held()
        buffer.add(fresh)
        assert await taking == [fresh]
        taking = asyncio.create_task(buffer.take(3_600.0))
        await asyncio.sleep(10.0)
        assert not taking.done()
        buffer.remove(first)
        buffer.release([first])
        assert await taking == [second]

    run_virtually(scenario())


@pytest.mark.parametrize("count", [RULES.rows - 1, RULES.rows, RULES.rows * 3])
def test_many_rows_of_a_wide_request_do_not_let_it_go_beside_another(count: int) -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        first, second = make_held(count, days=WIDE), make_held(count, days=WIDE)
        buffer.add(first)
        buffer.add(second)
        assert await buffer.take(1.0) == [first]
        assert await buffer.take(virtual_clock() + 5.0) == []
        buffer.release([first])
        assert await buffer.take(virtual_clock() + 5.0) == [second]

    run_virtually(scenario())


def test_wide_and_fresh_requests_take_turns() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        for _ in range(3):
            buffer.add(make_held(days=WIDE))
        turns = []
        for _ in range(6):
            buffer.add(make_held(RULES.rows))
            batch = await buffer.take(virtual_clock() + 1.0)
            turns.append(batch[0].part.points.first_us != batch[0].part.points.last_us)
            for held in batch:
                buffer.remove(held)
            buffer.release(batch)
        assert turns == [True, False, True, False, True, False]

    run_virtually(scenario())


def test_a_wide_request_given_back_goes_again_once_it_is_released() -> None:
    async def scenario() -> None:
        buffer = Buffer(RULES, virtual_clock)
        wide = make_held(days=WIDE)
        buffer.add(wide)
        taken = await buffer.take(1.0)
        taking = asyncio.create_task(buffer.take(3_600.0))
        await asyncio.sleep(1.0)
        buffer.give_back(wide)
        await asyncio.sleep(1.0)
        assert not taking.done()
        buffer.release(taken)
        assert await taking == [wide]

    run_virtually(scenario())
