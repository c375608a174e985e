"""From a new Ingestor to pods that serve, and nothing more to write then."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from support.fake_workloads import complete_rollout, set_counts
from support.operator_site import HEALTH_S, IMAGE, OperatorSite
from support.operator_specs import NAMESPACE, specs

ALL_TRUE = dict.fromkeys(
    ["Ready", "DatabaseReachable", "SchemaApplied", "Ingesting", "Available", "Progressing", "DatabaseDurable"], "True"
)


async def test_the_first_status_has_what_autoscalers_need_and_says_that_nothing_is_judged_yet(
    site: OperatorSite,
) -> None:
    site.add_ingestor()
    site.deliver()
    await site.reconcile()
    first = next(body for change, body in site.api.changes if change == "MODIFIED")
    assert first["status"]["replicas"] == 0
    assert first["status"]["selector"].startswith("app.kubernetes.io/name=analytics-ingestor,")
    assert [(item["type"], item["status"]) for item in first["status"]["conditions"]] == [("Ready", "Unknown")]


async def test_everything_is_made_once_and_what_pods_need_comes_before_them(site: OperatorSite) -> None:
    site.add_ingestor(autoscaling={"maxReplicas": 4}, observability={"podMonitor": {"enabled": True}})
    await site.reconcile()
    made = [kind for kind, verb in site.writes if verb == "apply"]
    assert made == [
        "ServiceAccount", "Service", "Service", "PodDisruptionBudget", "NetworkPolicy",
        "Deployment", "HorizontalPodAutoscaler", "PodMonitor",
    ]  # fmt: skip


async def test_it_is_ready_when_its_pods_serve(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "NoPodAvailable")
    set_counts(site.api, NAMESPACE, replicas=2, updated=2, ready=1)
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "RollingOut")
    assert site.conditions()["Available"] == ("True", "PodsAvailable")
    complete_rollout(site.api, NAMESPACE)
    assert await site.reconcile() == HEALTH_S
    assert {name: status for name, (status, _) in site.conditions().items()} == ALL_TRUE
    status = site.status()
    assert (status["replicas"], status["readyReplicas"], status["image"]) == (2, 2, IMAGE)
    assert status["connectionsPerPod"] == 2
    assert status["endpoints"]["roundRobin"] == "dns:///metrics-headless.team.svc:50051"


async def test_one_event_tells_that_all_is_well(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    told = sorted(reason for _, reason in site.events())
    assert told == ["Ready"]
    site.start_operator()
    await site.settle()
    assert sorted(reason for _, reason in site.events()) == told


async def test_a_converged_object_costs_no_write_and_no_look_at_its_database(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    site.writes.clear()
    looks = len(site.database.kept)
    for _ in range(3):
        await site.reconcile()
    assert site.writes == []
    assert len(site.database.kept) == looks


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_whatever_is_asked_for_is_reached_and_then_nothing_is_written(spec: dict[str, Any]) -> None:
    async def converge(directory: Path) -> None:
        site = OperatorSite(directory)
        for secret, user in (("writer", "analytics_writer"), ("owner", "analytics_owner")):
            uri = f"postgresql://{user}:p@timescaledb:6432/metrics"
            site.add_secret(secret, username=user, password="p", uri=uri)
        site.add_secret("ca", **{"ca.crt": "PEM", "root.pem": "PEM"})
        body = site.add_ingestor()
        site.api.delete("Ingestor", NAMESPACE, body["metadata"]["name"])
        site.api.create({**body, "spec": spec})
        await site.settle()
        await site.reconcile()
        assert site.writes == []
        wanted = spec.get("replicas", 2)
        assert site.conditions()["Ready"][0] == "True"
        assert site.status()["replicas"] == site.deployment()["spec"]["replicas"] == wanted
        site.start_operator()  # what was seen lives in the cluster, so a restart writes nothing either
        await site.settle()
        assert site.writes == []

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(converge(Path(directory)))
