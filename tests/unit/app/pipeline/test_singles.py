"""Single points that are held together."""

import asyncio
from collections.abc import Callable

import pytest

from ingestor.pipeline.assemble import OnePoint
from ingestor.pipeline.held import Held
from ingestor.pipeline.singles import GATHER_S, MAX_POINTS, MAX_SPREAD_US, Singles
from ingestor.points import Series, SeriesTable
from support.pipeline import NOON_US
from support.virtual_time import run_virtually, virtual_clock


def _table() -> SeriesTable:
    table = SeriesTable()
    for name in ("a", "b"):
        table.intern(Series("test", name, ()))
    return table


def _point(slot: int = 0, time_us: int = NOON_US, value: float = 1.0) -> OnePoint:
    return OnePoint(slot, time_us, value, time_us * 1_000, 0)


def _gathered(adding: Callable[[Singles], None], wait_s: float = 0.0) -> list[Held]:
    """Return what was handed on by the end of ``adding`` and so many seconds more."""
    held: list[Held] = []

    async def run() -> None:
        adding(Singles(held.append, virtual_clock))
        await asyncio.sleep(wait_s)

    run_virtually(run())
    return held


def test_points_are_handed_on_together_as_they_came_and_answered() -> None:
    table = _table()

    def adding(singles: Singles) -> None:
        for number in range(3):
            singles.add(table, _point(number % 2, NOON_US + 2 - number, float(number)))
        singles.seal()

    [held] = _gathered(adding)
    points = held.part.points
    assert (points.slots.tolist(), points.values.tolist()) == ([0, 1, 0], [0.0, 1.0, 2.0])
    assert points.times_us.tolist() == [NOON_US + 2, NOON_US + 1, NOON_US]
    assert (points.first_us, points.last_us, points.table) == (NOON_US, NOON_US + 2, table)
    assert [column.dtype.name for column in (points.slots, points.times_us, points.values)] == [
        "int32",
        "int64",
        "float64",
    ]
    assert (held.part.key, held.part.answered, held.received, held.rejected) == (None, True, 3, {})


@pytest.mark.parametrize(("wait_s", "handed_on"), [(GATHER_S - 0.001, 0), (GATHER_S + 0.001, 1)])
def test_a_point_waits_for_others_for_a_moment_only(wait_s: float, handed_on: int) -> None:
    assert len(_gathered(lambda singles: singles.add(_table(), _point()), wait_s)) == handed_on


def test_the_age_is_that_of_the_first_point() -> None:
    held: list[Held] = []

    async def run() -> float:
        singles, table = Singles(held.append, virtual_clock), _table()
        first_at = virtual_clock()
        singles.add(table, _point())
        await asyncio.sleep(GATHER_S / 2)
        singles.add(table, _point())
        await asyncio.sleep(GATHER_S)
        return first_at

    first_at = run_virtually(run())
    assert [(one.received_at, one.received) for one in held] == [(first_at, 2)]


def test_no_more_than_so_many_points_are_held_together() -> None:
    table = _table()

    def adding(singles: Singles) -> None:
        for _ in range(2 * MAX_POINTS + 1):
            singles.add(table, _point())

    assert [held.received for held in _gathered(adding)] == [MAX_POINTS, MAX_POINTS]


@pytest.mark.parametrize(("distance_us", "received"), [(MAX_SPREAD_US, [2]), (MAX_SPREAD_US + 1, [1, 1])])
@pytest.mark.parametrize("sign", [1, -1])
def test_times_far_apart_are_not_held_together(distance_us: int, received: list[int], sign: int) -> None:
    table = _table()

    def adding(singles: Singles) -> None:
        singles.add(table, _point())
        singles.add(table, _point(time_us=NOON_US + sign * distance_us))
        singles.seal()

    assert [held.received for held in _gathered(adding)] == received


def test_points_of_two_tables_are_not_held_together() -> None:
    def adding(singles: Singles) -> None:
        singles.add(_table(), _point())
        singles.add(_table(), _point())
        singles.seal()

    assert [held.received for held in _gathered(adding)] == [1, 1]


def test_sealing_twice_or_with_nothing_gathered_hands_nothing_on() -> None:
    def adding(singles: Singles) -> None:
        singles.seal()
        singles.add(_table(), _point())
        singles.seal()
        singles.seal()

    assert len(_gathered(adding, wait_s=1.0)) == 1
