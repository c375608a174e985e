"""The functions for people and Grafana, called by the reader: buckets, and counters that begin anew."""

import math
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ingestor.schema.apply import apply_schema
from ingestor.schema.connect import Connection
from ingestor.schema.faults import ConflictError

from .conftest import Site

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MOST = sys.float_info.max


async def _store(owner: Connection, values: dict[float, float], series_id: int = 1, **labels: str) -> None:
    """Store values of one series of a counter by their minute after ``START``."""
    pairs = ", ".join(f'"{name}": "{value}"' for name, value in labels.items())
    await owner.execute(
        "INSERT INTO series VALUES ($1, '', 'shop', 'orders', $2) ON CONFLICT DO NOTHING", series_id, f"{{{pairs}}}"
    )
    rows = [(START + minute * MINUTE, series_id, value) for minute, value in values.items()]
    await owner.copy_records_to_table("samples", records=rows)


async def _ask(reader: Connection, function: str, since: float, until: float, width_min: float, **more: Any) -> Any:
    matching = ", $6" if more else ""
    rows = await reader.fetch(
        f"SELECT * FROM {function}('shop', $1, $2, $3, $4 * interval '1 minute'{matching})".replace("$6", "$5"),
        "orders",
        START + since * MINUTE,
        START + until * MINUTE,
        width_min,
        *more.values(),
    )
    return [((row["time"] - START) / MINUTE, *[*row.values()][1:]) for row in rows]


async def test_buckets_sum_up_each_series(owner: Connection, reader: Connection) -> None:
    await _store(owner, {0: 1, 1: 5, 4: 3, 5: 7}, 1, region="eu")
    await _store(owner, {2: 9}, 2, region="us")
    assert sorted(await _ask(reader, "buckets", 0, 10, 5)) == [
        (0, '{"region": "eu"}', 3, 3.0, 1.0, 5.0, 3.0),
        (0, '{"region": "us"}', 1, 9.0, 9.0, 9.0, 9.0),
        (5, '{"region": "eu"}', 1, 7.0, 7.0, 7.0, 7.0),
    ]
    assert await _ask(reader, "buckets", 0, 10, 5, matching='{"region": "us"}') == [
        (0, '{"region": "us"}', 1, 9.0, 9.0, 9.0, 9.0)
    ]


async def test_buckets_are_whole_at_both_ends(owner: Connection, reader: Connection) -> None:
    await _store(owner, dict.fromkeys(range(20), 1))
    counts = [(time, count) for time, _, count, *_ in await _ask(reader, "buckets", 7, 12, 5)]
    assert counts == [(5, 5), (10, 5)]
    counts = [(time, count) for time, _, count, *_ in await _ask(reader, "buckets", 5, 10, 5)]
    assert counts == [(5, 5)]


async def test_a_metric_that_is_not_there_has_no_buckets(reader: Connection) -> None:
    assert await _ask(reader, "buckets", 0, 10, 5) == []
    assert await _ask(reader, "rate", 0, 10, 5) == []


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ({0: 10, 1: 12, 5: 20, 6: 21}, [(0, 2.0), (5, 9.0)]),
        ({0: 10, 1: 12, 5: 3, 6: 4}, [(0, 2.0), (5, 4.0)]),
        ({-1: 4, 0: 10, 5: 10}, [(0, 6.0), (5, 0.0)]),
        ({-9: 4, 0: 10, 1: 11}, [(0, 1.0)]),
        ({3: 5}, [(0, 0.0)]),
    ],
    ids=["grows", "begins anew", "goes on from before the range", "was away for long", "one point alone"],
)
async def test_an_increase_counts_what_came_between_points(
    owner: Connection, reader: Connection, values: dict[float, float], grown: list[tuple[float, float]]
) -> None:
    await _store(owner, values)
    assert [(time, value) for time, _, value in await _ask(reader, "increase", 0, 10, 5)] == grown
    rates = [(time, value) for time, _, value in await _ask(reader, "rate", 0, 10, 5)]
    assert rates == [(time, pytest.approx(value / 300)) for time, value in grown]


async def test_counters_of_several_series_are_kept_apart(owner: Connection, reader: Connection) -> None:
    await _store(owner, {0: 100, 2: 110}, 1, pod="a")
    await _store(owner, {1: 5, 3: 6}, 2, pod="b")
    assert sorted(await _ask(reader, "increase", 0, 5, 5)) == [(0, '{"pod": "a"}', 10.0), (0, '{"pod": "b"}', 1.0)]


async def test_what_is_not_finite_is_no_part_of_a_counter(owner: Connection, reader: Connection) -> None:
    await _store(owner, {0: 1000, 1: math.nan, 2: math.inf, 5: 1001, 6: -math.inf, 7: 1003})
    assert [(time, value) for time, _, value in await _ask(reader, "increase", 0, 10, 5)] == [(0, 0.0), (5, 3.0)]


async def test_no_value_breaks_an_answer(owner: Connection, reader: Connection) -> None:
    """Two of the largest have no finite sum, the smallest no quotient."""
    odd = {0.0: MOST, 1: MOST, 2: -MOST, 3: math.nan, 4: 5e-324, 5: 5e-324, 6: 1e290, 7: 1e290, 8: -1e290, 9: -math.inf}
    await _store(owner, odd)
    assert await _ask(reader, "buckets", 0, 10, 5) == [
        (0, "{}", 1, 0.0, 5e-324, 5e-324, 5e-324),
        (5, "{}", 4, 2.5e289, -1e290, 1e290, -1e290),
    ]
    assert [value for *_, value in await _ask(reader, "increase", 0, 10, 5)] == [0.0, 0.0]
    assert [value for *_, value in await _ask(reader, "rate", 0, 10, 5)] == [0.0, 0.0]


@pytest.mark.parametrize("width", ["5 minutes", "1 hour", "1 day", "36 hours", "1 month"])
@pytest.mark.parametrize("function", ["buckets", "increase", "rate"])
async def test_a_range_may_be_open_at_both_ends(
    owner: Connection, reader: Connection, function: str, width: str
) -> None:
    await _store(owner, {60.0 * hour: hour for hour in range(100)})
    ask = f"SELECT * FROM {function}('shop', 'orders', $1::text::timestamptz, $2::text::timestamptz, '{width}')"
    closed = await reader.fetch(ask, "2026-02-01", "2026-04-01")
    assert closed
    for since, until in (("-infinity", "infinity"), ("-infinity", "2026-04-01"), ("2026-02-01", "infinity")):
        assert await reader.fetch(ask, since, until) == closed
    assert not await reader.fetch(ask, "infinity", "infinity")
    assert not await reader.fetch(ask, "-infinity", "-infinity")


async def test_points_of_one_moment_are_taken_by_their_value(owner: Connection, reader: Connection) -> None:
    await _store(owner, {0: 100, 1: 200})
    await _store(owner, {1: 150, 2: 210})
    assert [value for _, _, value in await _ask(reader, "increase", 0, 5, 5)] == [110.0]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
async def test_days_and_months_are_those_of_utc(owner: Connection, reader: Connection, zone: str) -> None:
    """Over the weekend on which Europe's clocks go forward."""
    await _store(owner, {60.0 * hour: 3_600.0 * hour for hour in range(24 * 60)})
    await reader.execute(f"SET timezone = '{zone}'")
    ask = "SELECT * FROM {}('shop', 'orders', '2026-03-02 00:00+00', '2026-03-30 12:00+00', '{}')"
    [month] = await reader.fetch(ask.format("buckets", "1 month"))
    assert (month["time"], month["count"]) == (datetime(2026, 3, 1, tzinfo=UTC), 24 * 31 - 12)
    days = await reader.fetch(ask.format("rate", "1 day"))
    assert {row["value"] for row in days} == {1.0}


@pytest.mark.parametrize("place", range(5))
async def test_what_is_left_open_is_refused(reader: Connection, place: int) -> None:
    arguments = ["'shop'", "'orders'", "now() - interval '1 hour'", "now()", "interval '5 minutes'"]
    arguments[place] = "NULL"
    with pytest.raises(asyncpg.NullValueNotAllowedError):
        await reader.fetch(f"SELECT * FROM rate({', '.join(arguments)})")


async def test_no_labels_are_all_labels(owner: Connection, reader: Connection) -> None:
    await _store(owner, {0: 1}, 1, region="eu")
    assert len(await _ask(reader, "buckets", 0, 10, 5, matching=None)) == 1


@pytest.mark.parametrize("width_min", [0, -1])
async def test_a_width_must_be_positive(owner: Connection, reader: Connection, width_min: float) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="period must be greater than 0"):
        await _ask(reader, "buckets", 0, 10, width_min)


async def test_functions_of_others_with_the_same_names_are_left_alone(site: Site, owner: Connection) -> None:
    await owner.execute(f"CREATE FUNCTION {site.spec.name}.buckets(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert (await apply_schema(site.owner_url, site.spec)).empty
    assert await owner.fetchval("SELECT buckets(1)") == 1


async def test_a_function_of_others_in_the_place_of_ours_is_a_conflict(site: Site, owner: Connection) -> None:
    await owner.execute("DELETE FROM owner WHERE kind = 'function' AND name LIKE 'buckets(%'")
    with pytest.raises(ConflictError, match="buckets"):
        await apply_schema(site.owner_url, site.spec)


async def test_the_writer_may_not_call_them(writer: Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _ask(writer, "buckets", 0, 10, 5)
