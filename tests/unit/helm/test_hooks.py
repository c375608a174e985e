"""What Helm runs beside the release: the check before an uninstall, and the test."""

import ast
from typing import Any

import pytest

from support.helm import Helm, Object, only

CHECK = "ingestor-analytics-ingestor-check-uninstall"

scopes = pytest.mark.parametrize(("scope", "prefix"), [("Cluster", "Cluster"), ("Namespace", "")])


@scopes
def test_before_an_uninstall_ingestors_are_listed_and_nothing_else(helm: Helm, scope: str, prefix: str) -> None:
    hooks = _hooks(helm.render({"scope": scope}), "pre-delete")
    assert {item["kind"] for item in hooks} == {"Job", "ServiceAccount", f"{prefix}Role", f"{prefix}RoleBinding"}
    assert {item["metadata"]["name"] for item in hooks} == {CHECK}
    (rule,) = only(hooks, f"{prefix}Role")["rules"]
    assert rule == {"apiGroups": ["analytics-ingestor.io"], "resources": ["ingestors"], "verbs": ["list"]}
    (subject,) = only(hooks, f"{prefix}RoleBinding")["subjects"]
    assert (subject["name"], only(hooks, "Job")["spec"]["template"]["spec"]["serviceAccountName"]) == (CHECK, CHECK)


@scopes
def test_the_check_looks_where_the_operator_does_and_tries_once(helm: Helm, scope: str, prefix: str) -> None:
    objects = helm.render({"scope": scope})
    job = only(objects, "Job")["spec"]
    (check,) = job["template"]["spec"]["containers"]
    (operator,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert check["command"] == ["ingestor-operator", "check-uninstall"]
    assert check["image"] == operator["image"]
    assert all(item in operator["env"] for item in check["env"])
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 120)


def test_rights_of_the_check_are_there_before_it_and_gone_after_it(helm: Helm) -> None:
    hooks = _hooks(helm.render(), "pre-delete")
    weights = {item["kind"]: int(_annotations(item)["helm.sh/hook-weight"]) for item in hooks}
    assert all(weight < weights["Job"] for kind, weight in weights.items() if kind != "Job")
    policies = {_annotations(item)["helm.sh/hook-delete-policy"] for item in hooks}
    assert policies == {"before-hook-creation,hook-succeeded"}


def test_a_refused_uninstall_shows_why(helm: Helm) -> None:
    job = only(helm.render(), "Job")
    assert _annotations(job)["helm.sh/hook-output-log-policy"] == "hook-failed"


def test_helm_test_asks_the_operator_through_its_service(helm: Helm) -> None:
    objects = helm.render()
    (pod,) = _hooks(objects, "test")
    (container,) = pod["spec"]["containers"]
    *python, program = container["command"]
    assert python == ["python", "-c"]
    ast.parse(program)
    service = only(objects, "Service")
    assert f"http://{service['metadata']['name']}.ops.svc:8080" in program
    assert service["spec"]["ports"][0]["port"] == 8080
    assert _annotations(pod)["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_nothing_else_is_a_hook(helm: Helm) -> None:
    hooks = {kind for item in helm.render() if (kind := _annotations(item).get("helm.sh/hook"))}
    assert hooks == {"pre-delete", "test"}


def _hooks(objects: list[Object], event: str) -> list[Object]:
    return [item for item in objects if _annotations(item).get("helm.sh/hook") == event]


def _annotations(item: Object) -> dict[str, Any]:
    return dict(item["metadata"].get("annotations", {}))
