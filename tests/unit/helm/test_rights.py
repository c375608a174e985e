"""The operator's rights are these and no others; in one namespace they need nothing cluster-wide."""

import re
from typing import Any

import pytest

from support.helm import Helm, Object, only
from support.helm_values import README

APPLIED = frozenset({"list", "watch", "create", "patch"})
REMOVABLE = APPLIED | {"delete"}

RIGHTS = {
    ("analytics-ingestor.io", "ingestors"): {"list", "watch", "patch"},
    ("analytics-ingestor.io", "ingestors/status"): {"patch"},
    ("apps", "deployments"): APPLIED,
    ("", "services"): APPLIED,
    ("", "serviceaccounts"): APPLIED,
    ("", "configmaps"): REMOVABLE,
    ("", "secrets"): {"get"},
    ("", "pods"): {"list"},
    ("", "events"): {"create"},
    ("policy", "poddisruptionbudgets"): REMOVABLE,
    ("autoscaling", "horizontalpodautoscalers"): REMOVABLE,
    ("networking.k8s.io", "networkpolicies"): REMOVABLE,
}
POD_MONITORS = {("monitoring.coreos.com", "podmonitors"): REMOVABLE}

scopes = pytest.mark.parametrize(("scope", "prefix"), [("Cluster", "Cluster"), ("Namespace", "")])


@scopes
@pytest.mark.parametrize(("monitors", "more"), [(False, {}), (True, POD_MONITORS)])
def test_the_operator_may_do_exactly_what_it_does(
    helm: Helm, scope: str, prefix: str, monitors: bool, more: dict[Any, Any]
) -> None:
    objects = helm.render({"scope": scope, "podMonitors": {"enabled": monitors}})
    role = only(objects, f"{prefix}Role", "ingestor-analytics-ingestor")
    assert _rights(role) == {**RIGHTS, **more}


def test_the_charts_readme_lists_every_right() -> None:
    rows = re.findall(r"^\| (core|`[a-z.-]+`.*?) \| (`[^|]+`) \| ([a-z, ]+) \|$", README.read_text(), re.MULTILINE)
    listed = {
        (resource, verb)
        for _, resources, verbs in rows
        for resource in re.findall(r"`([\w/]+)`", resources)
        for verb in verbs.split(", ")
    }
    assert listed == {(name, verb) for (_, name), verbs in {**RIGHTS, **POD_MONITORS}.items() for verb in verbs}


@scopes
def test_the_rights_are_bound_to_the_operators_account_alone(helm: Helm, scope: str, prefix: str) -> None:
    objects = helm.render({"scope": scope, "serviceAccount": {"name": "ours"}})
    binding = only(objects, f"{prefix}RoleBinding", "ingestor-analytics-ingestor")
    assert binding["roleRef"]["kind"] == f"{prefix}Role"
    assert binding["roleRef"]["name"] == "ingestor-analytics-ingestor"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "ours", "namespace": "ops"}]
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "ours"


def test_scope_namespace_needs_nothing_cluster_wide_but_the_crd(helm: Helm) -> None:
    objects = helm.render({"scope": "Namespace"}, namespace="theirs")
    kinds = {item["kind"] for item in objects if "namespace" not in item["metadata"]}
    assert kinds == {"CustomResourceDefinition"}
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "INGESTOR_OPERATOR_NAMESPACES", "value": "theirs"} in container["env"]


@scopes
def test_nothing_may_escalate_or_read_secrets_in_bulk(helm: Helm, scope: str, prefix: str) -> None:
    for item in helm.render({"scope": scope, "podMonitors": {"enabled": True}}):
        if item["kind"].endswith("Role"):
            for (_group, resource), verbs in _rights(item).items():
                assert "*" not in {resource, *verbs}
                assert not verbs & {"escalate", "bind", "impersonate"}
                assert resource != "secrets" or verbs == {"get"}


def test_people_who_may_view_or_edit_may_view_or_edit_ingestors(helm: Helm) -> None:
    objects = helm.render()
    view = only(objects, "ClusterRole", "ingestor-analytics-ingestor-view")
    edit = only(objects, "ClusterRole", "ingestor-analytics-ingestor-edit")
    assert _aggregated(view) == {"view", "edit", "admin"}
    assert _aggregated(edit) == {"edit", "admin"}
    assert {verb for verbs in _rights(view).values() for verb in verbs} == {"get", "list", "watch"}
    assert _rights(edit)["analytics-ingestor.io", "ingestors/scale"] == {"update", "patch"}
    # The status is the operator's alone to write.
    assert ("analytics-ingestor.io", "ingestors/status") not in _rights(edit)


@pytest.mark.parametrize(
    "values", [{"scope": "Namespace"}, {"rbac": {"aggregateClusterRoles": False}}, {"rbac": {"create": False}}]
)
def test_roles_for_people_are_made_cluster_wide_or_not_at_all(helm: Helm, values: dict[str, Any]) -> None:
    labels = [label for item in helm.render(values) for label in item["metadata"].get("labels", {})]
    assert not [label for label in labels if label.startswith("rbac.authorization.k8s.io/")]


def test_without_rbac_no_role_is_made_and_the_check_uses_the_operators_account(helm: Helm) -> None:
    objects = helm.render({"rbac": {"create": False}})
    assert not [item["kind"] for item in objects if "Role" in item["kind"]]
    job = only(objects, "Job")["spec"]["template"]["spec"]
    assert job["serviceAccountName"] == only(objects, "ServiceAccount")["metadata"]["name"]


def test_only_pods_that_ask_the_api_server_hold_a_token(helm: Helm) -> None:
    objects = helm.render()
    assert {item["automountServiceAccountToken"] for item in objects if item["kind"] == "ServiceAccount"} == {False}
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert only(objects, "Job")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert only(objects, "Pod")["spec"]["automountServiceAccountToken"] is False


def _rights(role: Object) -> dict[tuple[str, str], set[str]]:
    rights: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in rights
                rights[group, resource] = set(rule["verbs"])
    return rights


def _aggregated(role: Object) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}
