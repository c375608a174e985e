"""One command, and points are stored, counted and shown; on podman, with what `tests/compose/images` made."""

import asyncio
from functools import partial
from typing import Any

import asyncpg
import pytest

from dashboards.evaluate import targets
from dashboards.files import read_panels
from support.compose import POLL_S, ROOT, Project, podman, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

STAYING = ("timescaledb", "ingestor", "load", "prometheus", "grafana")
PANELS = [
    pytest.param(panel, id=panel["title"]) for name in ("ingest.json", "metrics.json") for panel in read_panels(name)
]


async def _fetch_as_reader(project: Project, sql: str) -> list[Any]:
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=project.ports["TIMESCALEDB_PORT"],
        user="analytics_reader",
        password="reader",
        database="metrics",
        timeout=5,
    )
    try:
        rows: list[Any] = await connection.fetch(sql, timeout=10)
        return rows
    finally:
        await connection.close()


async def _rows_as_reader(project: Project, sql: str, timeout_s: float) -> list[Any]:
    async with asyncio.timeout(timeout_s):
        while not (rows := await _fetch_as_reader(project, sql)):
            await asyncio.sleep(POLL_S)
    return rows


def _committed(project: Project) -> float:
    vector = project.prometheus.query('ingestor_points_total{outcome="committed"}')
    return float(vector[0]["value"][1]) if vector else 0.0


@pytest.mark.parametrize("service", STAYING)
def test_every_service_becomes_healthy(project: Project, service: str) -> None:
    """Without systemd podman doesn't run health checks by itself, so they are asked for."""
    command = ["healthcheck", "run", project.container(service)]
    until(lambda: podman(command) is not None, 90, f"{service} is healthy")


def test_prometheus_scrapes_the_ingestor(project: Project) -> None:
    until(lambda: project.prometheus.query('up{job="analytics-ingestor"} == 1'), 60, "the target is up")


def test_prometheus_has_the_alerts(project: Project) -> None:
    rules = project.prometheus.alerts()
    assert "IngestorDown" in rules
    assert "err" not in {rule["health"] for rule in rules.values()}


def test_the_points_that_are_stored_grow_in_prometheus(project: Project) -> None:
    first = until(lambda: _committed(project), 60, "points are committed")
    until(lambda: _committed(project) > first, 60, "more points are committed")


async def test_the_reader_sees_as_many_rows_as_the_ingestor_says_it_stored(project: Project) -> None:
    stored = until(lambda: project.get("INGESTOR_HTTP_PORT", "/status")["outcomes"]["committed"], 60, "points stored")
    rows = await _fetch_as_reader(project, "SELECT count(*) FROM metrics")
    assert rows[0][0] >= stored
    later = project.get("INGESTOR_HTTP_PORT", "/status")
    assert rows[0][0] <= later["received"]
    assert later["outcomes"]["abandoned"] == 0


def test_callers_get_their_answer_before_the_commit(project: Project) -> None:
    until(lambda: project.prometheus.query('ingestor_ack_seconds_count{ack="buffered"} > 0'), 60, "buffered replies")
    assert project.prometheus.query('ingestor_ack_seconds_count{ack="committed"} > 0') == []


@pytest.mark.parametrize("panel", PANELS)
async def test_every_panel_of_the_dashboard_has_something_to_show(project: Project, panel: dict[str, Any]) -> None:
    """With the data sources themselves: the burst comes first, this machine's metrics half a minute later."""
    for target in targets(panel):
        if not target.is_sql:
            until(partial(project.prometheus.query, target.query), 60, target.query)
        else:
            rows = await _rows_as_reader(project, target.query, 120)
            series = "labels" if panel["type"] == "table" else "metric"
            assert list(rows[0].keys()) == ["time", series, "value"]


def test_the_schema_is_made_and_its_service_is_done(project: Project) -> None:
    state = project.inspect("schema")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


@pytest.mark.parametrize("service", ["ingestor", "load"])
def test_our_containers_run_without_root_rights_on_a_read_only_root(project: Project, service: str) -> None:
    assert project.inspect(service)["HostConfig"]["ReadonlyRootfs"] is True
    status = podman(["exec", project.container(service), "cat", "/proc/1/status"])
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert fields["NoNewPrivs"] == "1"


def test_grafana_sees_its_provisioning_and_the_readers_password(project: Project) -> None:
    """Grafana itself can't be had here: this proves its mounts and variables, ``tests/unit`` the files' fields."""
    command = ["exec", project.container("grafana"), "sh", "-c"]
    for path in ("provisioning/datasources/datasources.yaml", "provisioning/dashboards/dashboards.yaml"):
        mounted = podman([*command, f"cat /etc/grafana/{path}"])
        assert mounted == (ROOT / "compose/grafana" / path).read_text()
    assert podman([*command, "printenv READER_PASSWORD"]).strip() == "reader"


def test_the_ingestor_drains_and_exits_0_when_it_is_stopped(project: Project) -> None:
    """Last, because nothing is stored after it."""
    podman(["stop", "--time", "30", project.container("ingestor")])
    assert project.inspect("ingestor")["State"]["ExitCode"] == 0, project.logs("ingestor")
