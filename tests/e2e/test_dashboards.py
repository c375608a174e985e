"""Every panel and every rule, asked of a real Prometheus and TimescaleDB under real load: ``make dashboards``."""

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.evaluate import Target as Query
from dashboards.evaluate import targets
from dashboards.files import FILES, read_panels
from dashboards.picture import Drawn, draw
from ingestor.load.options import LoadOptions
from ingestor.load.runner import run_load
from support.database import fetch
from support.kube import ROOT, Site, ingestor, wait_for
from support.kube_prometheus import watched
from support.prometheus import Prometheus

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

logger = logging.getLogger(__name__)

LOAD_S = 40.0
RATE = 5_000
SERVICE = "load"
ANSWER_S = 20.0
PICTURES = ROOT / "build" / "dashboards"

MAGNITUDES = {
    "short": (0.0, 1e9),
    "s": (0.0, 3_600.0),
    "bytes": (1e6, 1e10),
    "percentunit": (0.0, 1.0),
    "reqps": (0.0, 1e5),
    "cps": (0.0, 1e6),
}
"""What values of a unit can be here: a time in milliseconds or a moment instead of an age would be outside."""


@pytest.fixture(scope="module")
def prometheus(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run Prometheus beside an Ingestor that has had some load."""
    site.apply(ingestor(replicas=2))
    site.wait_ready()
    with watched(site, tmp_path_factory.mktemp("prometheus")) as server:
        with site.port_forward("svc/metrics", 50051) as port:
            asyncio.run(_load(port))
        yield server


async def _load(port: int) -> None:
    options = LoadOptions(
        target=f"127.0.0.1:{port}",
        points=int(RATE * LOAD_S / 2),
        series=1_000,
        points_per_request=100,
        rate=RATE,
        machine=True,
        interval_s=1,
        duration_s=LOAD_S,
        service_name=SERVICE,
    )
    report = await run_load(options)
    assert all(phase.totals.acked_points for phase in report.phases)


PANELS = [
    pytest.param(name, panel, id=f"{name.removesuffix('.json')}-{panel['title']}")
    for name in FILES
    for panel in read_panels(name)
]


@pytest.fixture(scope="module")
def drawn() -> Iterator[dict[str, list[Drawn]]]:
    """Collect what panels show, and write one picture a dashboard in the end."""
    collected: dict[str, list[Drawn]] = {}
    yield collected
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, panels in collected.items():
        draw(panels, PICTURES / f"{Path(name).stem}.png")


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_shows_data_of_its_unit(
    prometheus: Prometheus, site: Site, drawn: dict[str, list[Drawn]], name: str, panel: dict[str, Any]
) -> None:
    series: dict[str, Any] = {}
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in targets(panel):
        found = _rows(site, target.query) if target.is_sql else _samples(prometheus, target)
        logger.info("%s | %s | %s | %s", panel["title"], target.query, _newest(found), unit)
        assert not found.keys() & series.keys(), "two series of one name"
        series |= found
    least, most = MAGNITUDES[unit]
    values = [value for _, numbers in series.values() for value in numbers]
    assert values, "it is empty"
    assert all(least <= value <= most for value in values), _newest(series)
    drawn.setdefault(name, []).append(Drawn(panel["title"], unit, series))


def _newest(series: dict[str, Any]) -> dict[str, float]:
    return {name: numbers[-1] for name, (_, numbers) in list(series.items())[:4]}


def _samples(prometheus: Prometheus, target: Query) -> dict[str, tuple[list[float], list[float]]]:
    """Return the last minute of an expression; what is not a number, as a share of nothing, is left out."""
    wait_for(lambda: prometheus.query(target.query), ANSWER_S, lambda: f"nothing for {target.query}")
    now_s = time.time()
    found = {}
    for one in prometheus.query_range(target.query, now_s - 60, now_s, 2):
        points = [(moment - now_s, float(value)) for moment, value in one["values"] if value != "NaN"]
        if points:
            found[target.name(one["metric"])] = ([moment for moment, _ in points], [value for _, value in points])
    return found


def _rows(site: Site, statement: str) -> dict[str, tuple[list[float], list[float]]]:
    """Return the rows of a statement, asked by the role that Grafana has."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    with site.port_forward("statefulset/timescaledb", 5432) as port:
        rows = asyncio.run(fetch(f"postgresql://analytics_reader:trying-reader@127.0.0.1:{port}/metrics", statement))
    for row in rows:
        times, values = found.setdefault(row.get("metric") or row.get("labels") or "", ([], []))
        times.append(row["time"].timestamp() - time.time())
        values.append(float(row["value"]))
    return found


def test_every_rule_is_evaluated_and_none_fires_without_a_cause(prometheus: Prometheus) -> None:
    rules = prometheus.alerts()
    assert {name: rule["lastError"] for name, rule in rules.items() if rule.get("lastError")} == {}
    assert {rule["health"] for rule in rules.values()} == {"ok"}
    assert [name for name, rule in rules.items() if rule["state"] == "firing"] == []


def test_all_dashboards_were_looked_at(drawn: dict[str, list[Drawn]]) -> None:
    assert {name: len(panels) for name, panels in drawn.items()} == {
        name: len(board.panels) for name, board in FILES.items()
    }
