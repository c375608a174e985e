"""Whatever call to the API server fails, the next passes lead to the same end."""

from pathlib import Path
from typing import Any

import pytest

from ingestor_operator.errors import OperatorError
from ingestor_operator.resource.ingestor import FINALIZER
from support.fake_cluster import ApiFaultError
from support.fake_workloads import complete_rollout, remove_pods
from support.operator_site import OperatorSite
from support.operator_specs import NAMESPACE

SPEC: dict[str, Any] = {"autoscaling": {"maxReplicas": 4}, "schema": {"reclaimPolicy": "Delete"}}
CALLS = 24
"""More than the passes of one life take."""


def fail_once(site: OperatorSite, number: int, code: int) -> None:
    """Let the call of a number fail, counted from now."""
    calls = [0]

    def fault(method: str, kind: str, name: str) -> None:
        calls[0] += 1
        if calls[0] == number + 1:
            raise ApiFaultError(code, "Injected", f"{method} {kind} {name}")

    site.api.faults = [fault]


async def keep_trying(site: OperatorSite) -> None:
    """Do passes as the queue would, which comes back after a failure."""
    for _ in range(8):
        try:
            await site.reconcile()
        except OperatorError:
            continue
        if site.api.get("Deployment", NAMESPACE, "metrics") is not None and not site.is_rolled_out():
            complete_rollout(site.api, NAMESPACE)


@pytest.mark.parametrize("code", [503, 409])
@pytest.mark.parametrize("number", range(CALLS))
async def test_making_one(site: OperatorSite, number: int, code: int) -> None:
    site.add_ingestor(**SPEC)
    fail_once(site, number, code)
    await keep_trying(site)
    assert site.conditions()["Ready"] == ("True", "Ready")
    assert {body["kind"] for body in site.api.of_kind("HorizontalPodAutoscaler")} == {"HorizontalPodAutoscaler"}
    site.writes.clear()
    await site.reconcile()
    assert site.writes == []


@pytest.mark.parametrize("code", [503, 409])
@pytest.mark.parametrize("number", range(8))
async def test_deleting_one(site: OperatorSite, number: int, code: int) -> None:
    site.add_ingestor(**SPEC)
    await site.settle()
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    fail_once(site, number, code)
    for _ in range(8):
        try:
            await site.reconcile()
        except OperatorError:
            continue
        if site.deployment()["spec"]["replicas"] == 0:
            remove_pods(site.api, NAMESPACE)
    assert site.api.get("Ingestor", NAMESPACE, "metrics") is None
    assert site.database.dropped != []


async def test_an_operator_that_is_killed_at_any_point_of_a_deletion_goes_on(tmp_path: Path) -> None:
    for number in range(6):
        site = OperatorSite(tmp_path)
        site.add_ingestor(**SPEC)
        await site.settle()
        site.api.delete("Ingestor", NAMESPACE, "metrics")
        for step in range(6):
            if step == number:
                site.start_operator()
            await site.reconcile()
            if step == 1:
                remove_pods(site.api, NAMESPACE)
        assert site.api.get("Ingestor", NAMESPACE, "metrics") is None


async def test_the_finalizer_is_there_before_anything_is_made_in_the_database(site: OperatorSite) -> None:
    site.add_ingestor(**SPEC)
    fail_once(site, 1, 503)  # after the first status
    with pytest.raises(OperatorError):
        await site.reconcile()
    assert site.database.kept == []
    await site.reconcile()
    found = site.api.get("Ingestor", NAMESPACE, "metrics")
    assert found is not None
    assert found["metadata"]["finalizers"] == [FINALIZER]
    assert len(site.database.kept) == 1
