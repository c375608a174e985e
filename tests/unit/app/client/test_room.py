"""Room is given out in turn, and every byte comes back."""

import asyncio

import pytest

from ingestor.client.room import Room


async def started(*waits: "asyncio.Task[None]") -> None:
    """Let tasks run up to where they wait."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_room_is_taken_until_there_is_none() -> None:
    room = Room(100)
    assert room.take(60)
    assert not room.take(41)
    assert room.take(40)
    room.give(100)
    assert room.used_bytes == 0


async def test_who_waits_longest_comes_first_even_where_less_would_fit() -> None:
    room, order = Room(100), []

    async def wait(name: str, size_bytes: int) -> None:
        await room.wait_and_take(size_bytes, 60)
        order.append(name)

    assert room.take(100)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait("large", 80))
        tasks.create_task(wait("small", 10))
        await started()
        room.give(50)
        await started()
        assert order == []
        assert not room.take(10)
        room.give(50)
    assert order == ["large", "small"]
    assert room.used_bytes == 90


async def test_a_wait_ends_in_time_and_lets_the_next_one_in() -> None:
    room = Room(100)
    assert room.take(90)
    small = asyncio.create_task(_after(room, large_timeout_s=0.01))
    with pytest.raises(TimeoutError):
        await room.wait_and_take(50, 0.01)
    async with asyncio.timeout(5):
        await small
    assert room.used_bytes == 100


async def _after(room: Room, large_timeout_s: float) -> None:
    await asyncio.sleep(large_timeout_s / 2)
    await room.wait_and_take(10, 5)


@pytest.mark.parametrize("granted", [True, False])
async def test_a_cancelled_wait_keeps_nothing(*, granted: bool) -> None:
    room = Room(100)
    assert room.take(100)
    waiting = asyncio.create_task(room.wait_and_take(70, 60))
    await started(waiting)
    if granted:  # in the same turn of the loop
        room.give(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not granted:
        room.give(100)
    assert room.used_bytes == 0
    assert room.take(100)
