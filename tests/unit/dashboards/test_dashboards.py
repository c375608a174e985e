"""The dashboards: written from their description, on metrics that there are, each panel with a sentence and a unit."""

import json
import re
from typing import Any

import pytest

from dashboards.evaluate import targets
from dashboards.files import FILES, FOLDER, read_panels
from dashboards.panels import Dashboard, Panel, write
from support.helm import Helm
from support.metric_names import defined_metrics

dashboards = pytest.mark.parametrize("name", FILES)
PANELS = [pytest.param(panel, id=f"{board.uid}-{panel.title}") for board in FILES.values() for panel in board.panels]
ALERTS = (FOLDER.parent / "alerts/analytics-ingestor.yaml").read_text()


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / name).read_text()))


@dashboards
def test_the_committed_file_is_the_written_dashboard(name: str) -> None:
    assert (FOLDER / name).read_text() == write(FILES[name]), "run `make docs`"


def test_there_is_no_other_file() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


@dashboards
def test_every_query_is_whole_and_rests_on_metrics_that_there_are(name: str) -> None:
    found = [target for panel in read_panels(name) for target in targets(panel)]
    assert found
    for target in found:
        if not target.is_sql:
            used = set(re.findall(r"\b(?:ingestor|process)_\w+(?=[{\[) ]|$)", target.query))
            assert used, target
            assert used <= defined_metrics(), target


@dashboards
def test_identities_are_stable_and_sources_are_chosen(name: str) -> None:
    body = _read(name)
    assert body["uid"] == FILES[name].uid
    numbers = [panel["id"] for panel in body["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    sources = {panel["datasource"]["uid"] for panel in read_panels(name)}
    assert sources == {"${datasource}"}
    assert body["templating"]["list"][0]["name"] == "datasource"


@dashboards
def test_no_panel_lies_over_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _read(name)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_in_a_sentence_what_it_shows(panel: Panel) -> None:
    assert re.fullmatch(r"[A-Z].*\.", panel.text), panel.text
    for alert in re.findall(r"Ingestor[A-Z]\w+", panel.text):
        assert f"alert: {alert}\n" in ALERTS


@pytest.mark.parametrize("board", FILES.values(), ids=FILES.keys())
def test_titles_are_said_once(board: Dashboard) -> None:
    titles = [panel.title for panel in board.panels]
    assert len(set(titles)) == len(titles)


def test_the_chart_brings_each_to_grafanas_sidecar_for_whoever_asks(helm: Helm) -> None:
    assert not [item for item in helm.render() if item["kind"] == "ConfigMap"]
    maps = [item for item in helm.render({"dashboards": {"enabled": True}}) if item["kind"] == "ConfigMap"]
    assert {item["metadata"]["labels"]["grafana_dashboard"] for item in maps} == {"1"}
    brought = {name: json.loads(text) for item in maps for name, text in item["data"].items()}
    assert brought == {name: _read(name) for name in FILES}
