"""The schema as a declared thing, on a build without policies: drift, consent, features that are missing, ageing."""

from typing import Any

import pytest

from ingestor.schema.versions import newest_version
from support.kube import RELEASE, Manifest, Site, ingestor, wait_for
from support.kube_load import Load, lossless

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOOK_S = 40
PAUSE_S = 3.0
"""Longest pause between acknowledgements while the schema changes."""
HEAVY_RATE = 20_000
FULL = 0
"""As many points per second as servers and database take."""
STEPS = newest_version() + 4
"""From an empty database with its extension to everything: schema, migrations, hypertable, index, rights."""
HALF_DAY = "12:00:00"


def _site_of(site: Site, name: str, **schema: Any) -> None:
    """Run an Ingestor without pods: the schema is kept all the same."""
    site.apply(ingestor(name, replicas=0, schema={"name": name, **schema}))
    site.wait_condition("SchemaApplied", "Applied", "True", name=name)


def _look_again(site: Site, name: str, number: int) -> None:
    """Have the operator look at the schema now, and not at the next resync."""
    site.patch(name, {"schema": {"approvedPlan": f"{number:016x}"}})


def _interval(site: Site, schema: str) -> str:
    return site.sql(
        f"SELECT time_interval FROM timescaledb_information.dimensions WHERE hypertable_schema = '{schema}'"
    )


def _store(site: Site, schema: str, *ages_days: int) -> None:
    values = ", ".join(f"(now() - interval '{days} days', 1, 1)" for days in ages_days)
    site.sql(f"INSERT INTO {schema}.samples VALUES {values}")


def _count(site: Site, schema: str) -> str:
    return site.sql(f"SELECT count(*) FROM {schema}.samples")


def _pending(site: Site, name: str) -> Manifest:
    def found() -> Manifest | None:
        status = site.get("igst", name).get("status") or {}
        return (status.get("schema") or {}).get("pendingPlan")

    return wait_for(found, LOOK_S, lambda: f"no plan waits: {site.conditions(name)}")


def test_drift_is_corrected(site: Site) -> None:
    _site_of(site, "corrected")
    site.sql(f"SELECT set_chunk_time_interval('corrected.samples', interval '{HALF_DAY}')")
    site.sql("DROP INDEX corrected.samples_series_time; REVOKE SELECT ON corrected.metrics FROM analytics_reader")
    _look_again(site, "corrected", 1)
    wait_for(lambda: _interval(site, "corrected") == "1 day", LOOK_S, lambda: _interval(site, "corrected"))
    indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'corrected' AND indexname = 'samples_series_time'"
    assert site.sql(indexes) == "1"
    site.wait_condition("SchemaApplied", "Applied", "True", name="corrected")


def test_drift_is_reported_and_left_where_that_is_asked_for(site: Site) -> None:
    _site_of(site, "reported", driftPolicy="Report")
    site.sql(f"SELECT set_chunk_time_interval('reported.samples', interval '{HALF_DAY}')")
    _look_again(site, "reported", 1)
    condition = site.wait_condition("SchemaApplied", "Drifted", name="reported")
    assert "cover 1d instead of 12h" in condition["message"]
    assert _interval(site, "reported") == HALF_DAY
    assert any("cover 1d instead of 12h" in step for step in _pending(site, "reported")["steps"])
    site.patch("reported", {"schema": {"chunkInterval": "6h"}})  # what is asked for anew is no drift
    wait_for(lambda: _interval(site, "reported") == "06:00:00", LOOK_S, lambda: _interval(site, "reported"))


def test_a_retention_over_older_points_waits_for_approval_by_the_plan_that_is_shown(site: Site) -> None:
    _site_of(site, "aged")
    _store(site, "aged", 1, 5, 12, 20)
    site.patch("aged", {"schema": {"retention": {"dropAfter": "10d"}}})
    condition = site.wait_condition("SchemaApplied", "ApprovalRequired", name="aged")
    assert "drops 2 chunks" in condition["message"]
    shown = _pending(site, "aged")
    assert shown["hash"] in condition["message"]
    assert any(step.startswith("held: drop chunks of samples from an age of 10d on") for step in shown["steps"])
    written = site.get("configmap", "aged-schema-plan")["data"]["plan.sql"]
    assert f"spec.schema.approvedPlan: {shown['hash']}" in written
    assert "drop_chunks" in written

    _store(site, "aged", 15)  # one chunk more would go: what was read is not what would be done
    site.patch("aged", {"schema": {"approvedPlan": shown["hash"]}})
    site.wait_condition("SchemaApplied", "ApprovalStale", name="aged")
    assert _count(site, "aged") == "5"

    site.patch("aged", {"schema": {"approvedPlan": _pending(site, "aged")["hash"]}})
    site.wait_condition("SchemaApplied", "Applied", "True", name="aged")
    assert _count(site, "aged") == "2"
    assert "pendingPlan" not in site.get("igst", "aged")["status"]["schema"]
    wait_for(lambda: not site.exists("configmap", "aged-schema-plan"), LOOK_S, lambda: "the old plan can still be read")


def test_an_apache_build_says_what_it_lacks_and_retires_old_points_all_the_same(site: Site) -> None:
    _site_of(site, "apache")
    refresh = {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"}
    rollup = {"name": "by_hour", "bucket": "1h", "refresh": refresh}
    site.patch("apache", {"schema": {"columnstore": {}, "rollups": [rollup], "retention": {"dropAfter": "10d"}}})
    condition = site.wait_condition("DatabaseCapable", "FeatureUnavailable", name="apache")
    assert "columnstore is left out" in condition["message"]
    assert "rollup by_hour is left out" in condition["message"]
    assert site.conditions("apache")["Ready"]["reason"] == "FeatureUnavailable"
    site.wait_condition("SchemaApplied", "Applied", "True", name="apache")
    _store(site, "apache", 1, 20)
    _look_again(site, "apache", 1)
    wait_for(lambda: _count(site, "apache") == "1", LOOK_S, lambda: _count(site, "apache"))


def test_a_table_of_the_same_name_is_left_alone(site: Site) -> None:
    site.sql("CREATE SCHEMA foreign_one AUTHORIZATION analytics_owner")
    site.sql("CREATE TABLE foreign_one.samples (mine text); INSERT INTO foreign_one.samples VALUES ('keep me')")
    site.apply(ingestor("foreign", replicas=0, schema={"name": "foreign_one"}))
    condition = site.wait_condition("SchemaApplied", "ObjectConflict", name="foreign")
    assert "samples" in condition["message"]
    assert site.sql("SELECT mine FROM foreign_one.samples") == "keep me"


def test_another_database_behind_the_same_address_is_not_touched_unasked(site: Site) -> None:
    _site_of(site, "moved")
    known = site.get("igst", "moved")["status"]["schema"]["database"]
    site.sql("ALTER DATABASE metrics RENAME TO metrics_before", database="postgres")
    try:
        site.sql("CREATE DATABASE metrics OWNER analytics_owner", database="postgres")
        site.sql("CREATE EXTENSION timescaledb")
        _look_again(site, "moved", 1)
        condition = site.wait_condition("SchemaApplied", "DatabaseChanged", name="moved")
        assert known in condition["message"]
        assert site.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'moved'") == "0"
        site.patch("moved", {"schema": {"approvedPlan": _pending(site, "moved")["hash"]}})
        site.wait_condition("SchemaApplied", "Applied", "True", name="moved")
        assert site.sql("SELECT count(*) FROM moved.metrics") == "0"
        assert site.get("igst", "moved")["status"]["schema"]["database"] != known
    finally:
        site.kubectl("delete", "igst", "moved", "--timeout=60s")
        site.sql("DROP DATABASE metrics WITH (FORCE)", database="postgres")
        site.sql("ALTER DATABASE metrics_before RENAME TO metrics", database="postgres")


@pytest.mark.parametrize(
    ("rate", "changes"),
    [
        pytest.param(
            HEAVY_RATE,
            (
                {"chunkInterval": "12h"},
                {"index": "TimeBrin"},
                {"index": "SeriesTime", "retention": {"dropAfter": "60d"}},
            ),
            id="another index while the table is small",
        ),
        pytest.param(
            FULL,
            ({"chunkInterval": "12h"}, {"retention": {"dropAfter": "60d"}}, {"chunkInterval": "6h", "retention": None}),
            id="as fast as it goes",
        ),
    ],
)
def test_changes_of_the_schema_hold_nobody_up_who_writes(
    site: Site, rate: int, changes: tuple[dict[str, Any], ...]
) -> None:
    site.sql("DROP SCHEMA IF EXISTS analytics CASCADE")
    site.apply(ingestor(replicas=2, schema={"name": "analytics"}))
    site.wait_ready()
    with lossless(Load(site, f"beside-{rate}", rate, form="columns", batch=500), pause_s=PAUSE_S):
        for change in changes:
            site.patch("metrics", {"schema": change})
            site.wait_condition("SchemaApplied", "Applied", "True")
        site.sql("REVOKE SELECT ON analytics.metrics FROM analytics_reader")
        _look_again(site, "metrics", 1)
        right = "SELECT has_table_privilege('analytics_reader', 'analytics.metrics', 'SELECT')"
        wait_for(lambda: site.sql(right) == "t", LOOK_S, lambda: f"not given again: {site.conditions()}")
    index = "SELECT string_agg(indexname, ',') FROM pg_indexes WHERE schemaname = 'analytics' AND tablename = 'samples'"
    assert site.sql(index) == "samples_series_time"
    site.kubectl("delete", "igst", "metrics", "--timeout=60s")


def test_two_operators_at_once_do_each_step_once(site: Site) -> None:
    deployment = f"deployment/{RELEASE}-analytics-ingestor"
    site.kubectl("scale", deployment, "--replicas=2")
    site.kubectl("rollout", "status", deployment, "--timeout=60s")
    try:
        _site_of(site, "twice")
        site.wait_ready("twice")
        events = site.list("events", "")
    finally:
        site.kubectl("scale", deployment, "--replicas=1")
    told = [
        event["message"]
        for event in events
        if event["involvedObject"]["name"] == "twice" and event["reason"] == "SchemaChanged"
    ]
    assert told == [f"{STEPS} steps were carried out in schema twice"]
