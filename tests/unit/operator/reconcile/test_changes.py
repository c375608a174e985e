"""What users, controllers and strangers change about an object that has converged."""

from typing import Any

import pytest

from support.fake_workloads import complete_rollout, set_counts
from support.operator_site import OperatorSite, key_of
from support.operator_specs import NAMESPACE


@pytest.mark.parametrize("replicas", [1, 3, 5])
async def test_another_number_of_pods_never_turns_ready_away_while_one_serves(
    converged: OperatorSite, replicas: int
) -> None:
    converged.change_spec(replicas=replicas)
    seen = []
    await converged.reconcile()
    seen.append(converged.conditions()["Ready"])
    set_counts(converged.api, NAMESPACE, replicas=replicas, updated=replicas, ready=1)
    await converged.reconcile()
    seen.append(converged.conditions()["Ready"])
    complete_rollout(converged.api, NAMESPACE)
    await converged.reconcile()
    seen.append(converged.conditions()["Ready"])
    assert seen == [("True", "Ready")] * 3
    assert converged.deployment()["spec"]["replicas"] == replicas
    assert [change for change, reason in converged.events() if reason == "Ready"] == ["Normal"]


async def test_nobody_serving_is_told_also_after_a_change_of_the_number(converged: OperatorSite) -> None:
    converged.change_spec(replicas=3)
    await converged.reconcile()
    set_counts(converged.api, NAMESPACE, replicas=3, updated=3, ready=0)
    await converged.reconcile()
    assert converged.conditions()["Ready"] == ("False", "NoPodAvailable")


async def test_a_new_image_is_not_ready_until_it_is_rolled_out(converged: OperatorSite) -> None:
    converged.change_spec(image="registry.example/own:2")
    converged.deliver()
    await converged.reconcile()
    announced = next(body for _, body in converged.api.changes if body["kind"] == "Ingestor")
    assert {item["type"]: item["status"] for item in announced["status"]["conditions"]}["Ready"] == "Unknown"
    assert converged.conditions()["Ready"] == ("False", "RollingOut")
    set_counts(converged.api, NAMESPACE, replicas=3, updated=1, ready=3)
    await converged.reconcile()
    assert converged.conditions()["Ready"] == ("False", "RollingOut")
    assert "2 old ones are left" in converged.message("Ready")
    complete_rollout(converged.api, NAMESPACE)
    await converged.reconcile()
    assert converged.conditions()["Ready"] == ("True", "Ready")
    assert converged.status()["image"] == "registry.example/own:2"


async def test_the_way_back_to_an_image_counts_only_once_its_pods_are_back(converged: OperatorSite) -> None:
    converged.change_spec(image="registry.example/own:2")
    await converged.reconcile()
    complete_rollout(converged.api, NAMESPACE)  # not seen by the operator before the user changes it back
    converged.change_spec(image=None)
    await converged.reconcile()
    assert converged.conditions()["Ready"][0] != "True"
    complete_rollout(converged.api, NAMESPACE)
    await converged.reconcile()
    assert converged.conditions()["Ready"] == ("True", "Ready")


async def test_a_change_that_concerns_no_pod_rolls_none(converged: OperatorSite) -> None:
    template = converged.deployment()["spec"]["template"]
    converged.change_spec(service={"annotations": {"team.example/owner": "a"}})
    await converged.settle()
    assert converged.deployment()["spec"]["template"] == template
    service = converged.api.get("Service", NAMESPACE, "metrics")
    assert service is not None
    assert service["metadata"]["annotations"]["team.example/owner"] == "a"
    converged.change_spec(service={"annotations": None})
    await converged.settle()
    service = converged.api.get("Service", NAMESPACE, "metrics")
    assert service is not None
    assert "team.example/owner" not in service["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("Deployment", "metrics", {"spec": {"replicas": 9}}),
        ("Deployment", "metrics", {"metadata": {"labels": {"app.kubernetes.io/component": "other"}}}),
        ("Deployment", "metrics", {"metadata": {"annotations": {"analytics-ingestor.io/template": None}}}),
        ("Service", "metrics", {"spec": {"selector": {"app.kubernetes.io/component": "other"}}}),
        ("Service", "metrics-headless", {"spec": {"ports": []}}),
        ("NetworkPolicy", "metrics", {"spec": {"policyTypes": ["Ingress"]}}),
        ("PodDisruptionBudget", "metrics", {"spec": {"maxUnavailable": 5}}),
        ("ServiceAccount", "metrics", {"automountServiceAccountToken": True}),
        ("ServiceAccount", "metrics", {"metadata": {"ownerReferences": None}}),
    ],
)
async def test_what_others_change_of_ours_is_put_right(
    converged: OperatorSite, kind: str, name: str, change: dict[str, object]
) -> None:
    before = converged.api.get(kind, NAMESPACE, name)
    converged.api.edit(kind, NAMESPACE, name, change)
    await converged.reconcile()
    after = converged.api.get(kind, NAMESPACE, name)
    assert before is not None
    assert after is not None
    assert after.get("spec") == before.get("spec")
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    assert after.get("automountServiceAccountToken") == before.get("automountServiceAccountToken")
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"annotations": {"kubectl.kubernetes.io/note": "x"}}},
        {"metadata": {"labels": {"theirs": "x"}}},
        {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}},
    ],
)
async def test_what_others_add_stays_and_costs_no_write(converged: OperatorSite, change: dict[str, object]) -> None:
    converged.api.edit("Deployment", NAMESPACE, "metrics", change)
    complete_rollout(converged.api, NAMESPACE)
    before = converged.deployment()
    await converged.reconcile()
    assert converged.deployment() == before
    assert [kind for kind, _ in converged.writes if kind != "Ingestor"] == []


async def test_what_is_deleted_comes_back(converged: OperatorSite) -> None:
    for kind, name in (("Service", "metrics-headless"), ("Deployment", "metrics"), ("ServiceAccount", "metrics")):
        converged.api.delete(kind, NAMESPACE, name)
    await converged.reconcile()
    assert converged.conditions()["Ready"] == ("False", "NoPodAvailable")
    await converged.settle()
    assert converged.api.get("Service", NAMESPACE, "metrics-headless") is not None
    assert converged.conditions()["Ready"] == ("True", "Ready")


@pytest.mark.parametrize(
    ("kind", "on", "off"),
    [
        ("HorizontalPodAutoscaler", {"autoscaling": {"maxReplicas": 4}}, {"autoscaling": None}),
        ("PodDisruptionBudget", {}, {"podDisruptionBudget": {"enabled": False}}),
        ("NetworkPolicy", {}, {"networkPolicy": {"enabled": False}}),
        (
            "PodMonitor",
            {"observability": {"podMonitor": {"enabled": True}}},
            {"observability": {"podMonitor": {"enabled": False}}},
        ),
    ],
)
async def test_what_is_no_longer_asked_for_goes(
    converged: OperatorSite, kind: str, on: dict[str, Any], off: dict[str, Any]
) -> None:
    converged.change_spec(**on)
    await converged.settle()
    assert converged.api.get(kind, NAMESPACE, "metrics") is not None
    converged.change_spec(**off)
    await converged.settle()
    assert converged.api.get(kind, NAMESPACE, "metrics") is None
    assert converged.conditions()["Ready"] == ("True", "Ready")


async def test_unmanaged_leaves_everything_alone(converged: OperatorSite) -> None:
    converged.change_spec(managementState="Unmanaged", replicas=5, image="registry.example/own:2")
    converged.api.delete("Service", NAMESPACE, "metrics")
    before = converged.deployment()
    assert await converged.reconcile() is None
    await converged.reconcile()
    assert converged.deployment() == before
    assert converged.conditions()["Ready"] == ("Unknown", "Unmanaged")
    assert {kind for kind, _ in converged.writes} == {"Ingestor"}
    converged.change_spec(managementState="Managed")
    await converged.settle()
    assert converged.container()["image"] == "registry.example/own:2"


async def test_a_spec_that_an_older_crd_let_through_is_told(converged: OperatorSite) -> None:
    entry = converged.api.objects["Ingestor", NAMESPACE, "metrics"]
    entry.body["spec"]["database"]["port"] = "many"
    converged.api.edit("Ingestor", NAMESPACE, "metrics", {"spec": {"replicas": 4}})
    assert await converged.reconcile() is None
    assert converged.conditions()["Ready"] == ("False", "InvalidSpec")
    assert "spec.database.port" in converged.message("Ready")
    assert converged.deployment()["spec"]["replicas"] == 2


async def test_a_change_that_comes_with_the_answer_to_our_own_write_is_not_lost(site: OperatorSite) -> None:
    site.add_ingestor(managementState="Unmanaged")
    site.deliver()

    def meanwhile(method: str, kind: str, name: str) -> None:
        site.api.faults.clear()
        site.change_spec(managementState="Managed")

    site.api.faults.append(meanwhile)  # just before the status is written, so that the answer has the new spec
    await site.reconciler(key_of())
    found = [site.cache.put_ingestor(body) for change, body in site.api.changes if change == "MODIFIED"]
    assert key_of() in found  # the watch brings it as news
    await site.reconciler(key_of())
    assert site.conditions()["Ready"][1] != "Unmanaged"
