"""Every alert: valid, on metrics that there are, tried both ways with promtool, and explained in the runbook."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.helm import Helm, only
from support.metric_names import defined_metrics
from support.prometheus import find_prometheus, run_promtool

ROOT = Path(__file__).parents[3]
FILE = ROOT / "helm/analytics-ingestor/files/alerts/analytics-ingestor.yaml"
TESTS = sorted((ROOT / "tests/alerts").glob("*.yaml"))
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]}

alerts = pytest.mark.parametrize("name", ALERTS)


@pytest.fixture(scope="module")
def promtool() -> Path:
    return find_prometheus("promtool")


def test_promtool_takes_the_rules(promtool: Path) -> None:
    run_promtool(promtool, "check", "rules", FILE)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_case_comes_out_as_written(promtool: Path, path: Path) -> None:
    run_promtool(promtool, "test", "rules", path)


@alerts
def test_an_alert_is_tried_both_ways(name: str) -> None:
    cases = [case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]
             for case in test["alert_rule_test"] if case["alertname"] == name]  # fmt: skip
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@alerts
def test_an_alert_rests_on_metrics_that_there_are(name: str) -> None:
    used = set(re.findall(r"\b(?:ingestor_\w+|up)\b(?=[{\[)\s])", ALERTS[name]["expr"]))
    assert used
    assert used <= defined_metrics()


@alerts
def test_an_alert_says_what_to_do(name: str) -> None:
    rule: dict[str, Any] = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"docs/runbook.md#{name.lower()}")
    section = RUNBOOK.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for heading in ("**It means**", "**Look at**", "**Do**"):
        assert heading in section, name


def test_the_runbook_explains_no_alert_that_is_gone() -> None:
    assert set(re.findall(r"^## (\w+)$", RUNBOOK, re.M)) == set(ALERTS)


def test_the_chart_brings_the_rules_as_they_are_for_whoever_asks(helm: Helm) -> None:
    assert not [item for item in helm.render() if item["kind"] == "PrometheusRule"]
    objects = helm.render({"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}})
    rule = only(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(FILE.read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
