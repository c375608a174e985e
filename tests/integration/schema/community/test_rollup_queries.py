"""The functions for people and Grafana take rollups where they fit, with the same answers as from the points."""

from typing import Any

from support.docs import inline

from .conftest import HOURLY, Site

RANGE = "'2026-03-01 00:30+00', '2026-03-03 23:30+00'"
BY_5_MINUTES = {
    "name": "by_5_minutes",
    "bucket": "5m",
    "refresh": {"startOffset": "2h", "endOffset": "10m", "scheduleInterval": "10m"},
}


async def _store_a_counter(site: Site) -> None:
    """Store three days of a counter, a point a minute, that begins anew every 7 hours and 11 minutes."""
    await site.connection.execute(f"INSERT INTO {site.schema}.series VALUES (1, '', 'shop', 'orders', '{{}}')")
    await site.connection.execute(
        f"INSERT INTO {site.schema}.samples (time, series_id, value)"
        " SELECT timestamptz '2026-03-01 00:00+00' + n * interval '1 minute', 1, n % 431 * 2"
        " FROM generate_series(0, 3 * 1440 - 1) AS n"
    )


async def _ask(site: Site, function: str, width: str) -> list[tuple[Any, ...]]:
    rows = await site.connection.fetch(
        f"SELECT * FROM {site.schema}.{function}('shop', 'orders', {RANGE}, interval '{width}') ORDER BY 1"
    )
    return [tuple(row.values()) for row in rows]


async def _source(site: Site, width: str) -> str:
    text = await site.connection.fetchval(f"SELECT {site.schema}.query_source(interval '{width}')")
    return str(text).rpartition(" FROM ")[2].partition(" WHERE ")[0].rpartition(".")[2].strip('"')


async def test_the_answers_are_those_of_the_points(site: Site) -> None:
    await _store_a_counter(site)
    asked = [(function, width) for function in ("buckets", "increase", "rate") for width in ("2 hours", "1 day")]
    expected = [await _ask(site, function, width) for function, width in asked]
    await site.apply(rollups=[HOURLY])
    await site.connection.execute(f"DELETE FROM {site.schema}.samples WHERE time < '2026-03-03'")
    assert [await _ask(site, function, width) for function, width in asked] == expected
    assert len(expected[0]) == 36
    assert len(await _ask(site, "buckets", "30 minutes")) == 47, "the points of the last day alone are left"


async def test_a_counter_that_begins_anew_often_is_never_said_to_grow_more(site: Site) -> None:
    await _store_a_counter(site)
    await site.connection.execute("SELECT setseed(0.5)")
    await site.connection.execute(f"UPDATE {site.schema}.samples SET value = value * random()")
    true = await _ask(site, "increase", "2 hours")
    await site.apply(rollups=[HOURLY])
    seen = await _ask(site, "increase", "2 hours")
    assert [row[0] for row in seen] == [row[0] for row in true]
    assert all(0 < less[-1] < more[-1] for less, more in zip(seen, true, strict=True))


async def test_the_largest_rollup_that_fits_is_read(site: Site) -> None:
    await site.apply(rollups=[HOURLY, BY_5_MINUTES])
    widths = ("1 second", "500 milliseconds", "5 minutes", "7 minutes", "45 minutes", "1 hour", "90 minutes", "1 week")
    assert [await _source(site, width) for width in widths] == [
        "samples",
        "samples",
        "by_5_minutes",
        "samples",
        "by_5_minutes",
        "by_hour",
        "by_5_minutes",
        "by_hour",
    ]


async def test_a_view_of_others_that_looks_like_a_rollup_is_not_read(site: Site) -> None:
    await site.connection.execute(f"CREATE VIEW {site.schema}.mine AS SELECT 1")
    comment = "analytics-ingestor: rollup 1 of 3600 s"
    await site.connection.execute(f"COMMENT ON VIEW {site.schema}.mine IS '{comment}'")
    assert await _source(site, "1 hour") == "samples"


async def test_a_rollup_is_read_by_those_who_may_read_it(site: Site) -> None:
    """A new one is not granted before it is filled."""
    await site.apply(rollups=[HOURLY])
    rollup, reader = f"{site.schema}.by_hour", f"{site.schema}_reader"
    for verb, read in (("REVOKE SELECT ON {} FROM {}", "samples"), ("GRANT SELECT ON {} TO {}", "by_hour")):
        await site.connection.execute(verb.format(rollup, reader))
        await site.connection.execute(f"SET ROLE {reader}")
        assert await _source(site, "1 hour") == read
        await site.connection.execute("RESET ROLE")


async def test_months_are_read_from_buckets_that_make_up_days(site: Site) -> None:
    refresh = {"startOffset": "6d", "endOffset": "1h", "scheduleInterval": "1h"}
    two_days = {"name": "by_2_days", "bucket": "2d", "refresh": refresh}
    await site.apply(rollups=[HOURLY, two_days])
    widths = ("1 month", "1 year", "30 days", "4 days")
    assert [await _source(site, width) for width in widths] == ["by_hour", "by_hour", "by_2_days", "by_2_days"]


async def test_the_docs_question_to_a_rollup_has_an_answer(site: Site) -> None:
    await site.connection.execute(f"INSERT INTO {site.schema}.series VALUES (1, '', 'shop', 'orders', '{{}}')")
    await site.connection.execute(
        f"INSERT INTO {site.schema}.samples SELECT now() - interval '1 hour', 1, n FROM generate_series(1, 3) n"
    )
    await site.apply(rollups=[HOURLY | {"name": "samples_1h"}])
    question = inline("README.md", "SELECT bucket, labels, sum / count")
    await site.connection.execute(f"SET search_path = {site.schema}, public")
    assert [row[2] for row in await site.connection.fetch(question)] == [2.0]


async def test_the_runbooks_way_to_run_a_policy_works(site: Site) -> None:
    await site.apply(retention={"dropAfter": "30d"})
    [job] = (await site.read()).jobs
    await site.connection.execute("SET search_path = public")
    await site.connection.execute(inline("docs/runbook.md", "CALL run_job").replace("ID", str(job.id)))
