"""Without room the client waits, or says so; who gives up waiting leaves no trace."""

import asyncio
from collections.abc import Coroutine

import numpy as np
import pytest

from ingestor.client import (
    Client,
    ClientClosedError,
    ClientFullError,
)
from support.fake_sender import FakeSender, check_books
from support.virtual_time import run_virtually, virtual_clock

MIB = 1024 * 1024
LONG = {"label": "x" * 900_000}
"""Labels of which two fill a request and four the smallest room."""


async def fill(client: Client) -> int:
    """Record points until there is no room; return how many."""
    count = 0
    while client.try_record("service", f"m{count}", count, labels=LONG):
        count += 1
    return count


def test_without_room_recording_waits_and_the_other_way_says_so_at_once() -> None:
    async def run() -> None:
        sender = FakeSender()
        sender.hold()
        async with Client("", sender=sender, max_pending_bytes=4 * MIB, full_timeout_s=30.0) as client:
            held = await fill(client)
            assert held == 4
            assert client.stats().pending_bytes <= 4 * MIB
            with pytest.raises(ClientFullError):
                await client.record("service", "other", 1, labels=LONG)
            assert virtual_clock() == 30.0
            waiting = asyncio.create_task(client.record("service", "other", 2, labels=LONG))
            await asyncio.sleep(1.0)
            assert not client.try_record("service", "small", 3)  # nobody is let in before those who wait
            assert not waiting.done()
            sender.release()
            await waiting
        assert sorted(value for _, _, value in sender.points) == [0, 1, 2, 2, 3]
        check_books(client)

    run_virtually(run())


def test_columns_without_room_say_how_many_points_are_in() -> None:
    async def run() -> None:
        sender = FakeSender()
        sender.hold()
        async with Client("", sender=sender, max_pending_bytes=4 * MIB) as client:
            series = [client.series("service", f"m{n}", LONG) for n in range(10)]
            with pytest.raises(ClientFullError) as full:
                await client.record_columns(series, np.arange(10), np.arange(1, 11), np.arange(10.0))
            assert full.value.recorded_points == client.stats().recorded_points == 4
            sender.release()
        assert [value for _, _, value in sender.points] == [0, 1, 2, 3]

    run_virtually(run())


def test_a_cancelled_wait_for_room_records_nothing() -> None:
    async def run() -> None:
        sender = FakeSender()
        sender.hold()
        async with Client("", sender=sender, max_pending_bytes=4 * MIB) as client:
            held = await fill(client)
            waits = [asyncio.create_task(client.record("service", "other", n, labels=LONG)) for n in range(20)]
            await asyncio.sleep(1.0)
            for wait in waits[::2]:
                wait.cancel()
            sender.release()
            ends = await asyncio.gather(*waits, return_exceptions=True)
        assert sum(end is None for end in ends) == 10
        assert client.stats().acked_points == held + 10
        assert client.stats().pending_bytes == 0

    run_virtually(run())


def test_leaving_refuses_those_who_wait_for_room() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=1.0)
        async with Client("", sender=sender, max_pending_bytes=4 * MIB) as client:
            held = await fill(client)
            series = client.series("service", "other", LONG)
            waits: list[Coroutine[None, None, None]] = []
            for _ in range(5):
                waits += [series.record(1), client.record_columns([series] * 2, [0, 1], [1, 1], [1.0, 2.0])]
            waiting = asyncio.gather(*waits, return_exceptions=True)
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert [type(end) for end in await waiting] == [ClientClosedError] * 10
        assert client.stats().acked_points == client.stats().recorded_points == held
        assert client.stats().pending_bytes == 0

    run_virtually(run())
