"""No value breaks a rollup or an answer: values from -1e290 to 1e290 are summed up, and no others, by all functions."""

import contextlib
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ingestor.schema.apply import apply_schema, plan_schema

from .conftest import HOURLY, URL, Site

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MOST = 1e290
BEYOND = [sys.float_info.max, -sys.float_info.max, math.nextafter(MOST, math.inf), math.nan, math.inf, -math.inf]
KINDS = ("points", "old rollup", "rollup")
WITHIN = [MOST, -MOST, 5e-324, -5e-324, 2.5e-308, 0.0, 1.0, 3.5, 1e18]
OLD = (
    "CREATE MATERIALIZED VIEW {schema}.by_hour WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS"
    " SELECT public.time_bucket(INTERVAL '3600 seconds', time) AS bucket, series_id, count(value) AS count,"
    " sum(value) AS sum, min(value) AS min, max(value) AS max, public.last(value, time) AS last"
    " FROM {schema}.samples GROUP BY 1, 2 WITH NO DATA",
    "COMMENT ON VIEW {schema}.by_hour IS 'analytics-ingestor: rollup 1 of 3600 s'",
    "INSERT INTO {schema}.owner (kind, name) VALUES ('rollup', 'by_hour')",
    "GRANT SELECT ON {schema}.by_hour TO {schema}_reader",
    "SELECT public.add_continuous_aggregate_policy('{schema}.by_hour', start_offset => INTERVAL '259200 seconds',"
    " end_offset => INTERVAL '3600 seconds', schedule_interval => INTERVAL '3600 seconds')",
)
"""A rollup as releases before made it."""

Point = tuple[int, float]
"""Minute after the start, and value."""


async def _store(site: Site, points: list[Point], series_id: int = 1) -> None:
    await site.connection.execute(
        f"INSERT INTO {site.schema}.series VALUES ({series_id}, '', 'shop', 'orders', '{{}}') ON CONFLICT DO NOTHING"
    )
    rows = ", ".join(f"('{START + minute * MINUTE}', {series_id}, '{value}'::float8)" for minute, value in points)
    await site.connection.execute(f"INSERT INTO {site.schema}.samples VALUES {rows}")


async def _make_old(site: Site) -> None:
    await site.connection.execute(f"SET ROLE {site.schema}_owner")
    for statement in OLD:
        await site.connection.execute(statement.format(schema=site.schema))
    await site.connection.execute("RESET ROLE")


async def _refresh(site: Site, until_hour: int) -> None:
    until = START + timedelta(hours=until_hour)
    await site.connection.execute(
        f"CALL public.refresh_continuous_aggregate('{site.schema}.by_hour', '{START}', '{until}')"
    )


async def _ask(
    site: Site, function: str, since: str = "2026-02-01", until: str = "2026-05-01", width: str = "1 hour"
) -> list[list[Any]]:
    question = f"SELECT * FROM {site.schema}.{function}('shop', 'orders', '{since}', '{until}', '{width}') ORDER BY 1"
    rows = await site.connection.fetch(question)
    return [[(row["time"] - START) / (60 * MINUTE), *[*row.values()][2:]] for row in rows]


def _buckets(points: list[Point]) -> list[list[Any]]:
    """Return what is expected of ``buckets``, by the hour."""
    hours: dict[int, list[float]] = {}
    for minute, value in sorted(points):
        if abs(value) <= MOST:
            hours.setdefault(minute // 60, []).append(value)
    return [
        [hour, len(some), pytest.approx(sum(some) / len(some), rel=1e-9, abs=1e-290), min(some), max(some), some[-1]]
        for hour, some in sorted(hours.items())
    ]


def _points(seed: int) -> list[Point]:
    """Return a day of points, some of them odd: a bucket may have any number of them, or nothing else."""
    lot = random.Random(seed)
    minutes = sorted(lot.sample(range(24 * 60), 60))
    return [(minute, lot.choice(BEYOND if lot.random() < 0.4 else WITHIN)) for minute in minutes]


async def _refresh_some(site: Site) -> None:
    """Refresh an hour after the other, up to half of the day or to the first that an odd value breaks."""
    with contextlib.suppress(asyncpg.NumericValueOutOfRangeError):
        for hour in range(1, 13):
            await _refresh(site, hour)


async def _store_and_sum_up(site: Site, kind: str, points: list[Point]) -> None:
    """Store points, and sum up half a day of them."""
    if kind == "old rollup":
        await _make_old(site)
    await _store(site, points)
    if kind == "rollup":
        await site.apply(rollups=[HOURLY])
        await _refresh(site, 12)
    if kind == "old rollup":
        await _refresh_some(site)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
async def test_buckets_are_those_of_the_values_within(site: Site, kind: str, seed: int) -> None:
    points = _points(seed)
    await _store_and_sum_up(site, kind, points)
    assert await _ask(site, "buckets") == _buckets(points)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
async def test_a_counter_grows_as_without_the_values_beyond(site: Site, kind: str, seed: int) -> None:
    """Neither is a bucket blank, nor does a later one have its growth."""
    lot = random.Random(seed)
    counter = [(minute, float(minute)) for minute in range(0, 24 * 60, 10)]
    odd = [(minute + 5, lot.choice(BEYOND)) for minute, _ in lot.sample(counter, 20)]
    await _store_and_sum_up(site, kind, [*counter, *odd])
    assert await _ask(site, "increase") == [[0, 50.0], *([hour, 60.0] for hour in range(1, 24))]
    assert await _ask(site, "rate", width="1 day") == [[0, pytest.approx((24 * 60 - 10) / 86_400)]]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_range_may_be_open_at_both_ends(site: Site, kind: str) -> None:
    if kind == "old rollup":
        await _make_old(site)
    await _store(site, [(minute, minute) for minute in range(0, 40 * 24 * 60, 360)])
    if kind == "rollup":
        await site.apply(rollups=[HOURLY])
    if kind != "points":
        await _refresh(site, 20 * 24)
    for function in ("buckets", "increase", "rate"):
        for width, count in (("1 hour", 160), ("1 day", 40), ("36 hours", 27), ("1 month", 2)):
            expected = await _ask(site, function, "2026-02-01", "2026-05-01", width)
            assert len(expected) == count
            for since in ("-infinity", "2026-02-01"):
                for until in ("infinity", "2026-05-01"):
                    assert await _ask(site, function, since, until, width) == expected, (since, until, width)
            assert await _ask(site, function, "infinity", "infinity", width) == []
            assert await _ask(site, function, "-infinity", "-infinity", width) == []


def _history(values: int) -> list[Point]:
    """Return points of three days, of which the first is dropped later."""
    return [(minute, minute % 100) for minute in range(0, 72 * 60, 72 * 60 // values)]


async def _make_old_with_history(site: Site) -> list[list[Any]]:
    """Make an old rollup, with sums of points that are gone, and return what it says."""
    await _make_old(site)
    await _store(site, _history(144))
    await _refresh(site, 72)
    expected = await _ask(site, "buckets")
    await site.connection.execute(
        f"SELECT public.drop_chunks('{site.schema}.samples', older_than => '{START + 1440 * MINUTE}'::timestamptz)"
    )
    assert await site.count() < 144
    assert await _ask(site, "buckets") == expected
    return expected


async def test_an_old_rollup_stays_until_somebody_approves_a_new_one(site: Site) -> None:
    before = await _make_old_with_history(site)
    spec = site.spec(rollups=[HOURLY])
    plan = await plan_schema(URL, spec)
    assert plan.empty
    assert plan.offer is not None
    assert "by_hour" in plan.offer.steps[0].sentence
    assert plan.offer.steps[0].reason.endswith(": everything before 2026-03-02 00:00 UTC")
    assert {step.safety for step in plan.offer.steps} == {"held"}
    unasked = await apply_schema(URL, spec, approved="0" * 16)
    assert unasked.empty
    assert await _ask(site, "buckets") == before
    done = await apply_schema(URL, spec, approved=plan.offer.hash)
    assert done.steps[0] == plan.offer.steps[0]
    assert done.offer is None
    assert (await plan_schema(URL, spec)).offer is None
    assert await _ask(site, "buckets") == [row for row in before if row[0] >= 24]
    await site.connection.execute(f"SET ROLE {site.schema}_reader")
    assert len(await _ask(site, "buckets")) == 48
    await site.connection.execute("RESET ROLE")


async def test_an_old_rollup_is_kept_as_it_is_asked_for(site: Site) -> None:
    await _make_old_with_history(site)
    refresh = {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "2h"}
    slower = HOURLY | {"refresh": refresh, "retention": {"dropAfter": "900d"}}
    assert len(await site.apply(rollups=[slower])) == 2
    assert "drop rollup by_hour" in str(await site.hold(rollups=[]))


async def test_odd_values_of_one_service_are_no_matter_to_another(site: Site) -> None:
    await site.apply(rollups=[HOURLY])
    await _store(site, [(minute, sys.float_info.max) for minute in range(60)], series_id=2)
    await _store(site, [(minute, 1.0) for minute in range(120)])
    await _refresh(site, 2)
    rows = await site.connection.fetch(f"SELECT series_id, sum FROM {site.schema}.by_hour ORDER BY bucket")
    assert [tuple(row.values()) for row in rows] == [(1, 60.0), (1, 60.0)]
    assert await site.count() == 180, "points are stored as they are sent"
