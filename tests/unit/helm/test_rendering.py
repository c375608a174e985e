"""Whatever the values, the chart's objects are valid, and its pods may run where the strictest rules hold."""

import re
import tomllib
from collections import Counter
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ingestor_operator.config import ENV_PREFIX, Settings, load_settings
from support.helm import CHART, KUBERNETES, ROOT, Helm, only
from support.pod_security import containers, pod_spec, violations

FOREIGN_GROUP = "monitoring.coreos.com"
"""Kinds of the Prometheus operator, for which Kubernetes has no schemas."""

DIGEST = "sha256:" + "0123456789abcdef" * 4

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "namespace": {"scope": "Namespace"},
    "without CRD": {"crds": {"create": False}},
    "without rights": {"rbac": {"create": False}},
    "without roles for users": {"rbac": {"aggregateClusterRoles": False}},
    "a service account that is there": {"serviceAccount": {"create": False, "name": "theirs"}},
    "a service account with annotations": {"serviceAccount": {"name": "ours", "annotations": {"a/b": "c"}}},
    "monitored": {
        "podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
        "podMonitors": {"enabled": True},
        "dashboards": {"enabled": True},
        "prometheusRule": {"enabled": True},
    },
    "a digest": {"image": {"repository": "registry.example:5000/ingestor", "tag": "1.2.3", "digest": DIGEST}},
    "long names": {"fullnameOverride": "a-name-that-is-much-longer-than-the-room-there-is-for-names"},
    "placed": {
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "metrics", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
                }
            }
        },
        "podLabels": {"team": "metrics"},
        "podAnnotations": {"note": "yes"},
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1.5"}},
    },
    "tuned": {"operator": {"workers": 2, "resyncSeconds": 60, "logLevel": "DEBUG", "logFormat": "console"}},
    "part of another chart": {"global": {"registry": "theirs"}},
}

in_every_way = pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())


@in_every_way
def test_kubernetes_knows_every_field_of_every_object(helm: Helm, values: dict[str, Any]) -> None:
    for item in helm.render(values):
        if not item["apiVersion"].startswith(FOREIGN_GROUP):
            kubernetes_validate.validate(item, KUBERNETES, strict=True)


@in_every_way
def test_every_pod_is_restricted_and_writes_to_its_own_tmp_only(helm: Helm, values: dict[str, Any]) -> None:
    specs = [spec for item in helm.render(values) if (spec := pod_spec(item))]
    assert len(specs) == 3  # the operator, the check before uninstalling, the test
    for spec in specs:
        assert violations(spec) == []
        assert spec["securityContext"]["runAsUser"] == 65532
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp"}
            assert "limits" in container["resources"]
            assert container["command"], "the image's own command is the server"


@in_every_way
def test_names_fit_and_nothing_is_there_twice(helm: Helm, values: dict[str, Any]) -> None:
    objects = helm.render(values, release="r" * 53)
    names = Counter((item["kind"], item["metadata"]["name"]) for item in objects)
    assert set(names.values()) == {1}
    assert all(len(name) <= 63 for kind, name in names if kind != "CustomResourceDefinition")


@in_every_way
def test_namespaced_objects_are_in_the_releases_namespace(helm: Helm, values: dict[str, Any]) -> None:
    for item in helm.render(values, namespace="elsewhere"):
        cluster_wide = item["kind"].startswith("Cluster") or item["kind"] == "CustomResourceDefinition"
        assert item["metadata"].get("namespace") == (None if cluster_wide else "elsewhere")


@in_every_way
def test_no_ingestor_is_part_of_the_release_that_brings_its_kind(helm: Helm, values: dict[str, Any]) -> None:
    assert "Ingestor" not in {item["kind"] for item in helm.render(values)}


@in_every_way
def test_a_strict_lint_finds_nothing(helm: Helm, values: dict[str, Any]) -> None:
    assert "0 chart(s) failed" in helm.lint(values)


def test_one_operator_runs_and_leaves_a_lost_node_after_half_a_minute(helm: Helm) -> None:
    deployment = only(helm.render(), "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert pod["terminationGracePeriodSeconds"] == 30
    lost = {item["key"]: item["tolerationSeconds"] for item in pod["tolerations"]}
    assert lost == {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}


def test_the_operators_settings_are_in_its_environment(helm: Helm) -> None:
    values = {
        "operator": {"workers": 3, "resyncSeconds": 60, "logLevel": "DEBUG", "logFormat": "auto"},
        "podMonitors": {"enabled": True},
    }
    assert _environment(helm.render(values)) == {
        "INGESTOR_OPERATOR_IMAGE": f"ghcr.io/analytics-ingestor/analytics-ingestor:{_version()}",
        "INGESTOR_OPERATOR_NAMESPACES": "",
        "INGESTOR_OPERATOR_WORKERS": "3",
        "INGESTOR_OPERATOR_RESYNC_S": "60",
        "INGESTOR_OPERATOR_HTTP_PORT": "8080",
        "INGESTOR_OPERATOR_POD_MONITORS": "true",
        "INGESTOR_OPERATOR_LOG_FORMAT": "auto",
        "INGESTOR_OPERATOR_LOG_LEVEL": "DEBUG",
    }


def test_the_operator_understands_what_the_chart_sets(helm: Helm) -> None:
    given = _environment(helm.render(MATRIX["tuned"]))
    settings = load_settings(**{name.removeprefix(ENV_PREFIX).lower(): value for name, value in given.items()})
    assert (settings.workers, settings.resync_s, settings.pod_monitors) == (2, 60, False)
    assert {name.removeprefix(ENV_PREFIX).lower() for name in given} <= set(Settings.model_fields)


def test_a_digest_wins_over_the_tag_in_every_pod_and_for_the_pods_of_ingestors(helm: Helm) -> None:
    objects = helm.render(MATRIX["a digest"])
    wanted = f"registry.example:5000/ingestor@{DIGEST}"
    specs = [spec for item in objects if (spec := pod_spec(item))]
    assert {container["image"] for spec in specs for container in containers(spec)} == {wanted}
    assert _environment(objects)["INGESTOR_OPERATOR_IMAGE"] == wanted


def test_values_for_placement_reach_every_pod_beside_the_charts_own_tolerations(helm: Helm) -> None:
    values = MATRIX["placed"]
    for item in helm.render(values):
        if spec := pod_spec(item):
            for field in ("imagePullSecrets", "priorityClassName", "nodeSelector", "affinity"):
                assert spec[field] == values[field]
            assert values["tolerations"][0] in spec["tolerations"]
    template = only(helm.render(values), "Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "metrics"
    assert template["metadata"]["annotations"] == {"note": "yes"}


def test_labels_given_for_the_pod_never_break_its_selector(helm: Helm) -> None:
    deployment = only(helm.render({"podLabels": {"app.kubernetes.io/instance": "other"}}), "Deployment")["spec"]
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


def test_service_and_pod_monitor_select_the_operator_and_no_ingest_pod(helm: Helm) -> None:
    objects = helm.render(MATRIX["monitored"], release="metrics")
    deployment = only(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    ingest = {"app.kubernetes.io/name": "analytics-ingestor", "app.kubernetes.io/instance": "metrics"}
    ingest["app.kubernetes.io/component"] = "ingest"
    for selector in (
        only(objects, "Service")["spec"]["selector"],
        only(objects, "PodMonitor")["spec"]["selector"]["matchLabels"],
    ):
        assert selector == deployment["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert not selector.items() <= ingest.items()
    assert only(objects, "PodMonitor")["metadata"]["labels"]["release"] == "prometheus"


def test_service_links_never_set_what_looks_like_our_settings(helm: Helm) -> None:
    specs = [spec for item in helm.render() if (spec := pod_spec(item))]
    assert {spec["enableServiceLinks"] for spec in specs} == {False}


def test_the_chart_is_of_the_projects_version(helm: Helm) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (_version(), _version())
    assert f":{_version()}\n" in chart["annotations"]["artifacthub.io/images"]


def test_kubernetes_that_is_too_old_is_refused(helm: Helm) -> None:
    assert "1.29" in helm.refusal(kubernetes="1.29.0")


@pytest.mark.parametrize("scope", ["Cluster", "Namespace"])
def test_the_notes_say_what_to_do_first_and_what_uninstalling_keeps(helm: Helm, scope: str) -> None:
    notes = helm.notes({"scope": scope}, release="mine", namespace="theirs")
    assert ("all namespaces" if scope == "Cluster" else "namespace theirs") in notes
    for text in ("kind: Ingestor", "kubectl wait --for=condition=Ready igst/metrics", "helm uninstall mine -n theirs"):
        assert text in notes
    assert re.search(r"keeps the CRD.*all data", notes, re.DOTALL)


def _environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item["value"] for item in container["env"]}


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
