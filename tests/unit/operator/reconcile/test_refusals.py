"""What is not ours stays as it is, and what is refused is told and keeps nothing else waiting."""

import pytest

from ingestor_operator.manifests.children import KINDS
from support.fake_cluster import ApiFaultError
from support.operator_site import OperatorSite
from support.operator_specs import NAMESPACE

SERVICES = KINDS[1]


async def test_an_object_with_our_labels_that_has_another_owner_is_never_removed(converged: OperatorSite) -> None:
    labels = converged.deployment()["metadata"]["labels"]
    owner = {"apiVersion": "example.org/v1", "kind": "Other", "name": "x", "uid": "theirs", "controller": True}
    metadata = {"name": "by-hand", "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner]}
    spec = {"maxUnavailable": 1, "selector": {}}
    converged.api.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec})
    await converged.settle()
    assert converged.api.get("PodDisruptionBudget", NAMESPACE, "by-hand") is not None


@pytest.mark.parametrize(
    ("kind", "api_version", "content"),
    [
        ("Service", "v1", {"spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80, "protocol": "TCP"}]}}),
        ("ServiceAccount", "v1", {}),
        ("ServiceAccount", "v1", {"automountServiceAccountToken": True}),
    ],
)
async def test_an_object_of_somebody_else_is_never_taken_over(
    site: OperatorSite, kind: str, api_version: str, content: dict[str, object]
) -> None:
    metadata = {"name": "metrics", "namespace": NAMESPACE}
    theirs = site.api.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, **content})
    site.add_ingestor()
    for _ in range(3):
        await site.reconcile()
    assert site.api.get(kind, NAMESPACE, "metrics") == theirs
    assert site.conditions()["Ready"][0] == "False"
    assert kind in site.message("Progressing")
    site.api.delete(kind, NAMESPACE, "metrics")
    await site.settle()
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_what_was_left_behind_by_one_of_the_same_name_is_taken_over(converged: OperatorSite) -> None:
    # kubectl delete --cascade=orphan
    for (kind, _, name), entry in list(converged.api.objects.items()):
        if entry.body["metadata"].get("ownerReferences"):
            converged.api.edit(kind, NAMESPACE, name, {"metadata": {"ownerReferences": None}}, "garbage-collector")
    converged.api.delete("Ingestor", NAMESPACE, "metrics")
    converged.deliver()
    converged.add_ingestor()
    await converged.settle()
    assert converged.conditions()["Ready"] == ("True", "Ready")
    found = converged.api.get("Ingestor", NAMESPACE, "metrics")
    assert found is not None
    (owner,) = converged.deployment()["metadata"]["ownerReferences"]
    assert owner["uid"] == found["metadata"]["uid"]


async def test_labels_that_somebody_took_off_come_back(converged: OperatorSite) -> None:
    change = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}
    converged.api.edit("Service", NAMESPACE, "metrics", change)
    converged.cache.put_child(SERVICES, converged.api.get("Service", NAMESPACE, "metrics") or {}, deleted=True)
    converged.api.changes.clear()  # a watch by label shows it as a deletion
    await converged.settle()
    service = converged.api.get("Service", NAMESPACE, "metrics")
    assert service is not None
    assert service["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "ingestor-operator"


async def test_one_refused_child_keeps_no_other_from_being_written(site: OperatorSite) -> None:
    def refuse(method: str, kind: str, name: str) -> None:
        if kind == "Service" and method == "PATCH":
            raise ApiFaultError(403, "Forbidden", "no load balancers here")

    site.api.faults.append(refuse)
    site.add_ingestor()
    await site.reconcile()
    assert site.deployment()["spec"]["replicas"] == 2
    assert site.conditions()["Progressing"] == ("False", "Forbidden")


async def test_a_pod_monitor_that_may_not_be_made_is_told_and_nothing_else_waits(site: OperatorSite) -> None:
    site.pod_monitors = False
    site.start_operator()
    site.add_ingestor(observability={"podMonitor": {"enabled": True}})
    await site.settle()
    assert ("PodMonitor", "apply") not in site.writes
    assert site.api.of_kind("PodMonitor") == []
    assert site.conditions()["Progressing"] == ("False", "PodMonitorsOff")
    assert site.deployment()["spec"]["replicas"] == 2


async def test_a_child_that_the_server_refuses_is_the_reason(site: OperatorSite) -> None:
    def refuse(method: str, kind: str, name: str) -> None:
        if kind == "Deployment" and method == "PATCH":
            raise ApiFaultError(422, "Invalid", "spec.template: requests must not exceed limits")

    site.api.faults.append(refuse)
    site.add_ingestor()
    again_s = await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "Invalid")
    assert "requests must not exceed limits" in site.message("Ready")
    assert again_s is not None
    site.api.faults.clear()
    await site.settle()
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_a_refused_event_fails_nothing(site: OperatorSite) -> None:
    def refuse(method: str, kind: str, name: str) -> None:
        if kind == "Event":
            raise ApiFaultError(403, "Forbidden", "the namespace is being terminated")

    site.api.faults.append(refuse)
    site.add_ingestor()
    await site.settle()
    assert site.conditions()["Ready"] == ("True", "Ready")
