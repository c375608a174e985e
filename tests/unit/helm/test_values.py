"""Wrong values are refused with their path; every value is described, and no other is accepted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.helm import CHART, Helm
from support.helm_values import README, described_values, with_values

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("unknown", {"unknown": 1}),
    ("replicaCount", {"replicaCount": 2}),
    ("/nameOverride", {"nameOverride": "Upper"}),
    ("/fullnameOverride", {"fullnameOverride": 7}),
    ("/scope", {"scope": "All"}),
    ("/image", {"image": "ghcr.io/a/b:1"}),
    ("registry", {"image": {"registry": "ghcr.io"}}),
    ("/image/repository", {"image": {"repository": "Upper/Case"}}),
    ("/image/tag", {"image": {"tag": 1.0}}),
    ("/image/tag", {"image": {"tag": "a b"}}),
    ("/image/digest", {"image": {"digest": "sha256:abc"}}),
    ("/image/pullPolicy", {"image": {"pullPolicy": "Sometimes"}}),
    ("/imagePullSecrets", {"imagePullSecrets": "pull"}),
    ("/imagePullSecrets/0", {"imagePullSecrets": ["pull"]}),
    ("/imagePullSecrets/0", {"imagePullSecrets": [{}]}),
    ("/crds/create", {"crds": {"create": "yes"}}),
    ("keep", {"crds": {"keep": True}}),
    ("/rbac/create", {"rbac": {"create": "false"}}),
    ("/rbac/aggregateClusterRoles", {"rbac": {"aggregateClusterRoles": 1}}),
    ("/serviceAccount/create", {"serviceAccount": {"create": "no"}}),
    ("/serviceAccount/name", {"serviceAccount": {"name": "Upper"}}),
    ("/serviceAccount/name", {"serviceAccount": {"create": False}}),
    ("/serviceAccount/annotations/a", {"serviceAccount": {"annotations": {"a": True}}}),
    ("/operator/workers", {"operator": {"workers": 0}}),
    ("/operator/workers", {"operator": {"workers": 1000}}),
    ("/operator/workers", {"operator": {"workers": "8"}}),
    ("/operator/resyncSeconds", {"operator": {"resyncSeconds": 1}}),
    ("/operator/logLevel", {"operator": {"logLevel": "debug"}}),
    ("/operator/logFormat", {"operator": {"logFormat": "xml"}}),
    ("/podMonitors/enabled", {"podMonitors": {"enabled": "true"}}),
    ("/podMonitor/enabled", {"podMonitor": {"enabled": 1}}),
    ("/podMonitor/interval", {"podMonitor": {"interval": 30}}),
    ("/podMonitor/interval", {"podMonitor": {"interval": "0s"}}),
    ("/podMonitor/labels/a", {"podMonitor": {"labels": {"a": 1}}}),
    ("/dashboards/enabled", {"dashboards": {"enabled": "true"}}),
    ("label", {"dashboards": {"label": "x"}}),
    ("/prometheusRule/enabled", {"prometheusRule": {"enabled": "true"}}),
    ("/prometheusRule/labels/a", {"prometheusRule": {"labels": {"a": 1}}}),
    ("request", {"resources": {"request": {"cpu": "1"}}}),
    ("/resources/limits/memory", {"resources": {"limits": {"memory": "1 GB"}}}),
    ("/priorityClassName", {"priorityClassName": ["high"]}),
    ("/nodeSelector/a", {"nodeSelector": {"a": True}}),
    ("/tolerations/0/effect", {"tolerations": [{"key": "a", "effect": "Never"}]}),
    ("/tolerations", {"tolerations": {"key": "a"}}),
    ("nodeAfinity", {"affinity": {"nodeAfinity": {}}}),
    ("/podLabels/a", {"podLabels": {"a": 1}}),
    ("/podAnnotations/a", {"podAnnotations": {"a": False}}),
]


@pytest.mark.parametrize(("path", "values"), WRONG, ids=[json.dumps(values) for _, values in WRONG])
def test_a_wrong_value_is_refused_and_its_path_named(helm: Helm, path: str, values: dict[str, Any]) -> None:
    refusal = helm.refusal(values)
    assert "values don't meet the specifications of the schema" in refusal
    assert f"'{path}'" in refusal


@pytest.mark.parametrize("path", ["scope", "image", "image.repository", "rbac.create", "operator.workers", "resources"])
def test_a_default_that_is_taken_away_is_asked_back(helm: Helm, path: str) -> None:
    values: Any = None
    for name in reversed(path.split(".")):
        values = {name: values}
    refusal = helm.refusal(values)
    assert "missing propert" in refusal
    assert f"'{path.rpartition('.')[2]}'" in refusal


def test_the_schema_knows_the_values_that_there_are_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(_known(schema)) - {"global"} == set(_given(values, schema))


def test_every_value_is_described_once() -> None:
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    described = [value.path for value in described_values(text)]
    assert len(described) == len(set(described))
    groups = {"resources.requests", "resources.limits"}  # described as a whole
    leaves = {path for path in _given(yaml.safe_load(text), schema) if not _is_group(schema, path)}
    assert set(described) - {"resources"} == leaves - groups


def test_the_charts_readme_lists_every_value_with_its_default() -> None:
    text = README.read_text()
    assert text == with_values(text), "run `make docs`"


def _known(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield prefix + name
        if prefix + name != "affinity" and part.get("type") == "object":
            assert "additionalProperties" in part or name == "global", f"{prefix}{name} takes anything"
            yield from _known(part, f"{prefix}{name}.")


def _given(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield prefix + name
        part = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and "properties" in part:
            yield from _given(value, part, f"{prefix}{name}.")


def _is_group(schema: dict[str, Any], path: str) -> bool:
    part = schema
    for name in path.split("."):
        part = part["properties"][name]
    return "properties" in part and path != "affinity"
