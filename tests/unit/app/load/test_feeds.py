"""Feeds yield requests at the moments that their pace intends."""

from contextlib import aclosing

import pytest

from ingestor.client.encode import Form
from ingestor.load.feeds import machine_feed, synthetic_feed
from ingestor.load.options import LoadOptions
from support.skipping_clock import SkippingClock


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


async def test_without_a_rate_requests_are_due_whenever_there_is_room(clock: SkippingClock) -> None:
    options = LoadOptions(points=30, series=10, points_per_request=10)
    assert [due_s async for due_s, _ in synthetic_feed(options, clock)] == [None] * 3
    assert clock.pauses_s == []


async def test_a_rate_spreads_requests_evenly(clock: SkippingClock) -> None:
    options = LoadOptions(points=30, series=10, points_per_request=10, rate=20)
    assert [due_s async for due_s, _ in synthetic_feed(options, clock)] == [0.0, 0.5, 1.0]
    assert clock.pauses_s == [0.5, 0.5]


async def test_a_stalled_server_does_not_move_the_intended_moments(clock: SkippingClock) -> None:
    options = LoadOptions(points=40, series=10, points_per_request=10, rate=20)
    due = []
    async for due_s, _ in synthetic_feed(options, clock):
        due.append(due_s)
        clock.now_s += 3.0 if due_s == 0.5 else 0.0
    assert due == [0.0, 0.5, 1.0, 1.5]


async def test_the_machine_is_read_every_interval_and_missed_moments_are_skipped(clock: SkippingClock) -> None:
    due: list[float | None] = []
    async with aclosing(machine_feed(LoadOptions(points=0, machine=True, interval_s=2.0), clock)) as feed:
        async for due_s, _ in feed:
            due.append(due_s)
            clock.now_s += 5.0 if due_s == 2.0 else 0.1
            if len(due) == 4:
                break
    assert due == pytest.approx([0.0, 2.0, 8.0, 10.0])


async def test_a_single_points_feed_sends_each_measurement_by_itself(clock: SkippingClock) -> None:
    options = LoadOptions(points=0, machine=True, form=Form.SINGLE)
    async with aclosing(machine_feed(options, clock)) as feed:
        _, request = await anext(feed)
    assert request.points == 1
