"""The change table against a real catalog: plan, apply, a second plan that is empty, the live object read back.

Engine: PGlite, PostgreSQL 17 with TimescaleDB 2.23 under its community licence.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingestor.commands.schema import schema_app
from ingestor.schema.apply import apply_schema, plan_schema
from ingestor.schema.catalog import Catalog, ColumnstoreSettings, Job
from ingestor.schema.faults import SchemaError
from ingestor.schema.steps import StaleApprovalError
from ingestor.storage.retention import read_retention

from .conftest import DAYS, HOURLY, URL, Site

DAY_S = 86_400


def _job(catalog: Catalog, kind: str, relation: str = "samples") -> Job:
    [job] = [job for job in catalog.jobs if (job.kind, job.relation) == (kind, relation)]
    return job


async def test_an_empty_database_gets_everything_at_once(site: Site) -> None:
    assert (await site.read()).extension.community
    done = await site.apply(columnstore={}, retention={"dropAfter": "90d"}, rollups=[HOURLY])
    assert len(done) == 6
    catalog = await site.read()
    assert catalog.columnstore == ColumnstoreSettings(("series_id",), ("time DESC",))
    assert {(job.kind, job.relation) for job in catalog.jobs} == {
        ("columnstore", "samples"),
        ("retention", "samples"),
        ("refresh", "by_hour"),
    }
    assert [one.materialized_only for one in catalog.aggregates] == [False]


async def test_the_age_and_schedule_of_the_columnstore_change_in_place(site: Site) -> None:
    await site.fill()
    await site.apply(columnstore={"after": "7d"})
    before = _job(await site.read(), "columnstore")
    done = await site.apply(columnstore={"after": "3d", "scheduleInterval": "6h"})
    assert done == ["convert chunks of samples from an age of 3d on, every 6h instead of 7d"]
    after = _job(await site.read(), "columnstore")
    assert (after.id, after.after_s, after.schedule_s) == (before.id, 3 * DAY_S, 6 * 3_600)


async def test_segments_and_order_change_for_chunks_to_come_and_older_ones_are_counted(site: Site) -> None:
    await site.fill()
    await site.apply(columnstore={})
    await site.convert(2)
    (sentence,) = await site.apply(columnstore={"segmentBy": [], "orderBy": ["series_id", "time"]})
    assert sentence.endswith("; 2 chunks converted before stay as they are")
    catalog = await site.read()
    assert catalog.columnstore == ColumnstoreSettings((), ("series_id", "time"))
    assert sum(chunk.earlier for chunk in catalog.chunks) == 2
    (note,) = (await plan_schema(URL, site.spec(columnstore={"segmentBy": [], "orderBy": ["series_id", "time"]}))).notes
    assert note.startswith(f"2 of {len(catalog.chunks)} chunks of samples are kept by columns in another way")
    assert await site.count() == 24 * DAYS


async def test_a_columnstore_that_goes_is_held_while_chunks_are_in_it(site: Site) -> None:
    await site.fill()
    await site.apply(columnstore={})
    await site.convert(3)
    held = await site.hold()
    assert "writes 3 chunks" in str(held)
    catalog = await site.read()
    assert catalog.columnstore is not None
    assert not catalog.jobs  # no more are converted meanwhile
    await site.apply(approved=held.plan.hash)
    catalog = await site.read()
    assert catalog.columnstore is None
    assert not any(chunk.converted for chunk in catalog.chunks)
    assert await site.count() == 24 * DAYS


async def test_an_unused_columnstore_goes_unasked(site: Site) -> None:
    await site.apply(columnstore={})
    assert await site.apply() == ["convert no more chunks of samples", "keep samples by rows alone"]


async def test_a_first_retention_over_older_points_is_held_with_what_would_go(site: Site) -> None:
    await site.fill()
    held = await site.hold(retention={"dropAfter": "10d"})
    (step,) = held.plan.held
    older = [chunk for chunk in (await site.read()).chunks if chunk.name in step.basis]
    assert len(older) in (9, 10)
    assert f"drops {len(older)} chunks with about" in step.reason
    assert not (await site.read()).jobs
    await site.apply(approved=held.plan.hash, retention={"dropAfter": "10d"})
    assert _job(await site.read(), "retention").after_s == 10 * DAY_S


async def test_a_retention_over_nothing_is_safe_and_so_is_a_longer_one(site: Site) -> None:
    await site.fill()
    assert await site.apply(retention={"dropAfter": "30d"}) == ["drop chunks of samples from an age of 30d on"]
    before = _job(await site.read(), "retention")
    await site.apply(retention={"dropAfter": "60d", "scheduleInterval": "6h"})
    after = _job(await site.read(), "retention")
    assert (after.id, after.after_s, after.schedule_s) == (before.id, 60 * DAY_S, 6 * 3_600)


async def test_a_shorter_retention_is_held_and_a_stale_approval_refused(site: Site) -> None:
    await site.fill()
    await site.apply(retention={"dropAfter": "30d"})
    held = await site.hold(retention={"dropAfter": "10d"})
    await site.connection.execute(
        f"INSERT INTO {site.schema}.samples VALUES (now() - interval '25 days', 1, 1)"  # one chunk more would go
    )
    with pytest.raises(StaleApprovalError) as stale:
        await apply_schema(URL, site.spec(retention={"dropAfter": "10d"}), approved=held.plan.hash)
    assert _job(await site.read(), "retention").after_s == 30 * DAY_S
    await site.apply(approved=stale.value.plan.hash, retention={"dropAfter": "10d"})


async def test_a_retention_that_is_not_asked_for_any_more_ends_unasked(site: Site) -> None:
    await site.apply(retention={"dropAfter": "30d"})
    assert await site.apply() == ["drop nothing of samples any more"]
    assert not (await site.read()).jobs


async def test_a_new_rollup_sums_up_what_is_there_already(site: Site) -> None:
    await site.fill()
    await site.apply(rollups=[HOURLY])
    query = (
        f"SELECT count(*) FROM (SELECT DISTINCT date_trunc('hour', time), series_id FROM {site.schema}.samples) AS x"
    )
    assert await site.count("by_hour") == await site.connection.fetchval(query)
    stored = await site.connection.fetchrow(f"SELECT sum(count) AS n, sum(sum)::float8 AS s FROM {site.schema}.by_hour")
    raw = await site.connection.fetchrow(f"SELECT count(*) AS n, sum(value) AS s FROM {site.schema}.samples")
    assert stored is not None
    assert raw is not None
    assert (int(stored["n"]), stored["s"]) == (raw["n"], raw["s"])


@pytest.mark.parametrize(("chunk", "bucket"), [("7d", "2d"), ("1d", "2d"), ("1d", "7d"), ("7d", "7d")])
async def test_a_rollup_over_several_days_sums_up_all_that_is_there(site: Site, chunk: str, bucket: str) -> None:
    """Buckets begin on days of their own, not where chunks do."""
    await site.apply(chunkInterval=chunk)
    await site.fill()
    refresh = {"startOffset": "15d", "endOffset": "1h", "scheduleInterval": "1h"}
    await site.apply(chunkInterval=chunk, rollups=[HOURLY | {"bucket": bucket, "refresh": refresh}])
    stored = await site.connection.fetchval(f"SELECT sum(count)::bigint FROM {site.schema}.by_hour")
    assert stored == await site.count()


async def test_readers_may_read_a_rollup_and_writers_may_not(site: Site) -> None:
    await site.apply(rollups=[HOURLY])
    rights = {grant.grantee for grant in (await site.read()).grants if grant.name == "by_hour"}
    assert rights == {f"{site.schema}_reader"}
    await site.connection.execute(
        f"INSERT INTO {site.schema}.series VALUES (7, 'x', 'shop', 'orders', '{{}}');"
        f"INSERT INTO {site.schema}.samples VALUES (now() - interval '2 hours', 7, 3)"
    )
    query = f"SELECT sum / count FROM {site.schema}.by_hour JOIN {site.schema}.series ON id = series_id"
    await site.connection.execute(f"SET ROLE {site.schema}_reader")
    try:
        assert await site.connection.fetchval(f"{query} WHERE metric_name = 'orders'") == 3.0
    finally:
        await site.connection.execute("RESET ROLE")  # all tests share the session


async def test_a_refresh_changes_in_place(site: Site) -> None:
    await site.apply(rollups=[HOURLY])
    before = _job(await site.read(), "refresh", "by_hour")
    refresh = {"startOffset": "5d", "endOffset": "2h", "scheduleInterval": "30m"}
    assert await site.apply(rollups=[HOURLY | {"refresh": refresh}]) == ["refresh by_hour from 5d to 2h ago every 30m"]
    after = _job(await site.read(), "refresh", "by_hour")
    assert (after.id, after.start_s, after.end_s, after.schedule_s) == (before.id, 5 * DAY_S, 7_200, 1_800)


async def test_a_rollup_that_is_not_asked_for_any_more_is_held(site: Site) -> None:
    await site.fill()
    await site.apply(rollups=[HOURLY])
    held = await site.hold()
    assert "drop rollup by_hour" in str(held)
    assert await site.count("by_hour")
    await site.apply(approved=held.plan.hash)
    assert not (await site.read()).aggregates


async def test_another_bucket_is_another_rollup_and_held(site: Site) -> None:
    await site.fill()
    await site.apply(rollups=[HOURLY])
    daily = HOURLY | {"bucket": "1d"}
    held = await site.hold(rollups=[daily])
    await site.apply(approved=held.plan.hash, rollups=[daily])
    days = f"SELECT count(DISTINCT bucket) FROM {site.schema}.by_hour"
    assert await site.connection.fetchval(days) in (DAYS, DAYS + 1)
    assert {grant.grantee for grant in (await site.read()).grants if grant.name == "by_hour"}


async def test_retention_of_a_rollup_is_its_own(site: Site) -> None:
    await site.fill()
    await site.apply(rollups=[HOURLY], retention={"dropAfter": "30d"})
    kept = HOURLY | {"retention": {"dropAfter": "365d"}}
    await site.apply(rollups=[kept], retention={"dropAfter": "30d"})
    catalog = await site.read()
    assert (_job(catalog, "retention").after_s, _job(catalog, "retention", "by_hour").after_s) == (
        30 * DAY_S,
        365 * DAY_S,
    )


@pytest.mark.parametrize(
    ("drift", "sentence"),
    [
        (
            "SELECT public.alter_job({columnstore}, scheduled => false)",
            "convert chunks of samples from an age of 7d on",
        ),
        ("SELECT public.delete_job({refresh})", "refresh by_hour from 3d to 1h ago every 1h"),
        (
            "ALTER MATERIALIZED VIEW {schema}.by_hour SET (timescaledb.materialized_only = true)",
            "let by_hour show the newest points too",
        ),
        (
            "ALTER TABLE {schema}.samples SET (timescaledb.compress, timescaledb.compress_segmentby = 'value')",
            "let old chunks of samples be kept by columns",
        ),
        ("SELECT public.set_chunk_time_interval('{schema}.samples', interval '2 days')", "let new chunks of samples"),
        (
            "SELECT public.add_reorder_policy('{schema}.samples', 'samples_series_time')",
            "end the policy_reorder of samples",
        ),
        (
            "ALTER MATERIALIZED VIEW {schema}.by_hour SET (timescaledb.compress);"
            "SELECT public.add_compression_policy('{schema}.by_hour', interval '30 days')",
            "end the columnstore policy of by_hour",
        ),
    ],
)
async def test_what_was_changed_by_hand_is_changed_back(site: Site, drift: str, sentence: str) -> None:
    wanted: dict[str, Any] = {"columnstore": {}, "rollups": [HOURLY]}
    await site.apply(**wanted)
    catalog = await site.read()
    numbers = {job.kind: job.id for job in catalog.jobs}
    await site.connection.execute(drift.format(schema=site.schema, **numbers))
    done = await site.apply(**wanted)
    assert [text for text in done if text.startswith(sentence)], done


async def test_a_retention_made_shorter_by_hand_is_made_longer_again(site: Site) -> None:
    await site.fill()
    await site.apply(retention={"dropAfter": "30d"})
    job = _job(await site.read(), "retention")
    change = f"SELECT public.alter_job({job.id}, config => jsonb_set(config, '{{drop_after}}', '\"1 day\"')) FROM"
    await site.connection.execute(f"{change} timescaledb_information.jobs WHERE job_id = {job.id}")
    await site.apply(retention={"dropAfter": "30d"})
    assert _job(await site.read(), "retention").after_s == 30 * DAY_S


@pytest.mark.parametrize("others", ["beside ours", "in place of ours"])
async def test_a_retention_by_the_age_of_chunks_is_one_by_the_age_of_points_again(site: Site, others: str) -> None:
    await site.fill()
    await site.apply(retention={"dropAfter": "30d"})
    samples, jobs = f"'{site.schema}.samples'", "timescaledb_information.jobs"
    if others == "beside ours":
        job = _job(await site.read(), "retention")
        config = """config || '{"drop_created_before": "1 day"}'"""
        await site.connection.execute(
            f"SELECT public.alter_job({job.id}, config => {config}) FROM {jobs} WHERE job_id = {job.id}"
        )
    else:
        await site.connection.execute(
            f"SELECT public.remove_retention_policy({samples});"
            f"SELECT public.add_retention_policy({samples}, drop_created_before => interval '1 day')"
        )
    await site.apply(retention={"dropAfter": "30d"})
    job = _job(await site.read(), "retention")
    left = await site.connection.fetchval(f"SELECT config - 'hypertable_id' FROM {jobs} WHERE job_id = {job.id}")
    assert left == '{"drop_after": "2592000 seconds"}'


async def test_a_view_of_the_same_name_that_is_not_ours_is_left_alone(site: Site) -> None:
    await site.connection.execute(f"CREATE VIEW {site.schema}.by_hour AS SELECT 1 AS mine")
    with pytest.raises(SchemaError, match=r"by_hour .* was not made by us and is left alone"):
        await apply_schema(URL, site.spec(rollups=[HOURLY]))
    assert await site.connection.fetchval(f"SELECT mine FROM {site.schema}.by_hour") == 1


async def test_a_rollup_of_the_same_name_that_is_not_ours_is_left_alone(site: Site) -> None:
    await site.connection.execute(
        f"CREATE MATERIALIZED VIEW {site.schema}.by_hour WITH (timescaledb.continuous) AS"
        f" SELECT public.time_bucket(interval '1 hour', time) AS bucket, count(*) FROM {site.schema}.samples GROUP BY 1"
        " WITH NO DATA"
    )
    with pytest.raises(SchemaError, match=r"by_hour .* was not made by us and is left alone"):
        await apply_schema(URL, site.spec(rollups=[HOURLY]))
    await site.connection.execute(
        f"SELECT public.add_continuous_aggregate_policy('{site.schema}.by_hour', interval '3 days', interval '1 hour',"
        " interval '1 hour')"
    )
    assert (await plan_schema(URL, site.spec())).empty


async def test_a_policy_that_failed_is_named_with_what_it_said(site: Site) -> None:
    await site.apply(retention={"dropAfter": "30d"})
    job = _job(await site.read(), "retention")
    for statement in _failed_run(job.id, "deadlock detected"):  # nothing runs jobs in this engine
        await site.connection.execute(statement)
    plan = await plan_schema(URL, site.spec(retention={"dropAfter": "30d"}))
    assert plan.empty
    assert plan.failing == (f"the retention policy of samples (job {job.id}) failed: deadlock detected",)


async def test_the_command_plan_exits_with_1_while_a_policy_fails(site: Site, tmp_path: Path) -> None:
    await site.apply(retention={"dropAfter": "30d"})
    file = tmp_path / "schema.yaml"
    file.write_text(f"name: {site.schema}\nretention: {{dropAfter: 30d}}\n")
    command = ["plan", "--database-url", URL, "--schema", site.schema, "--file", str(file)]
    before = await asyncio.to_thread(CliRunner().invoke, schema_app, command)
    for statement in _failed_run(_job(await site.read(), "retention").id, "deadlock detected"):
        await site.connection.execute(statement)
    failed = await asyncio.to_thread(CliRunner().invoke, schema_app, command)
    assert (before.exit_code, failed.exit_code) == (0, 1), before.output + failed.output
    assert "failed: deadlock detected" in failed.stdout


def _failed_run(job: int, message: str) -> tuple[str, str]:
    """Return what records a failed run, as TimescaleDB's scheduler does."""
    data = f'{{"error_data": {{"message": "{message}"}}}}'
    return (
        "INSERT INTO _timescaledb_internal.bgw_job_stat_history (job_id, execution_start, execution_finish, succeeded,"
        f" data) VALUES ({job}, now(), now(), false, '{data}')",
        "INSERT INTO _timescaledb_internal.bgw_job_stat VALUES"
        f" ({job}, now(), now(), now(), '-infinity', false, 1, '0', '0', 0, 1, 0, 1, 0, 0)",
    )


async def test_an_owner_that_may_not_log_in_is_told_that_policies_need_it(site: Site) -> None:
    await site.connection.execute(f"ALTER ROLE {site.schema}_owner NOLOGIN")
    with pytest.raises(SchemaError, match=r"ALTER ROLE .* LOGIN"):
        await apply_schema(URL, site.spec(retention={"dropAfter": "30d"}))


async def test_the_age_at_which_points_are_dropped_is_told_to_servers(site: Site) -> None:
    async def told() -> int | None:
        return await read_retention(site.connection, site.schema)  # type: ignore[arg-type]

    assert await told() is None
    await site.apply(retention={"dropAfter": "30d"}, rollups=[HOURLY | {"retention": {"dropAfter": "10d"}}])
    assert await told() == 30 * DAY_S * 1_000_000
    await site.apply(retention={"dropAfter": "60d"}, rollups=[HOURLY])
    assert await told() == 60 * DAY_S * 1_000_000
    job = _job(await site.read(), "retention").id
    months = "config => jsonb_set(config, '{drop_after}', '\"2 mons\"')) FROM timescaledb_information.jobs"
    await site.connection.execute(f"SELECT public.alter_job(job_id, {months} WHERE job_id = {job}")
    assert await told() == await site.connection.fetchval(
        "SELECT (extract(epoch FROM now() - (now() - interval '2 mons')) * 1000000)::bigint"
    )
    await site.connection.execute(f"SELECT public.alter_job({job}, scheduled => false)")
    assert await told() is None
    await site.apply(rollups=[HOURLY])
    assert await told() is None
