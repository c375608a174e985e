"""Deleting an Ingestor: data stay unless it says otherwise, and then pods go before them."""

from typing import Any

import pytest

from ingestor_operator.errors import DatabaseError
from ingestor_operator.resource.ingestor import FINALIZER
from support.fake_workloads import READY, add_pod, remove_pods
from support.operator_site import OperatorSite, key_of
from support.operator_specs import NAMESPACE

DELETE: dict[str, Any] = {"schema": {"reclaimPolicy": "Delete"}}


async def make(site: OperatorSite, name: str = "metrics", **spec: Any) -> None:
    """Make an Ingestor and wait until it is Ready."""
    site.add_ingestor(name, **spec)
    await site.settle(name)


def finalizers(site: OperatorSite, name: str = "metrics") -> list[str] | None:
    """Return an Ingestor's finalizers, None where it is gone."""
    found = site.api.get("Ingestor", NAMESPACE, name)
    return None if found is None else found["metadata"].get("finalizers", [])


async def test_without_reclaim_it_is_gone_at_once_and_the_database_is_not_asked(site: OperatorSite) -> None:
    await make(site)
    assert finalizers(site) == []
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    site.api.collect_garbage()
    assert await site.reconcile() is None
    assert site.database.dropped == []
    assert site.api.of_kind("Deployment") == []


async def test_with_reclaim_pods_go_first_then_data_then_the_object(site: OperatorSite) -> None:
    await make(site, **DELETE)
    assert finalizers(site) == [FINALIZER]
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    assert await site.reconcile() is not None
    assert site.deployment()["spec"]["replicas"] == 0
    assert site.database.dropped == []
    assert await site.reconcile() is not None
    assert site.database.dropped == []
    remove_pods(site.api, NAMESPACE)
    await site.reconcile()
    assert [target.spec.name for target in site.database.dropped] == ["analytics"]
    assert finalizers(site) is None
    assert ("Normal", "SchemaDropped") in site.events()
    assert await site.reconcile() is None


async def test_it_says_what_it_waits_for(site: OperatorSite) -> None:
    await make(site, **DELETE)
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    assert site.conditions()["Ready"] == ("Unknown", "Deleting")
    assert "2 pods" in site.message("Ready")
    site.writes.clear()
    await site.reconcile()
    assert site.writes == []


async def test_pods_that_have_ended_do_not_hold_up_anything(site: OperatorSite) -> None:
    await make(site, **DELETE)
    # An evicted pod stays, as a record, until its ReplicaSet goes.
    add_pod(site.api, site.deployment(), "evicted", READY, phase="Failed", reason="Evicted")
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    for pod in site.api.of_kind("Pod"):
        if pod["metadata"]["name"] != "evicted":
            site.api.delete("Pod", NAMESPACE, pod["metadata"]["name"])
    await site.reconcile()
    assert finalizers(site) is None


async def test_pods_are_never_started_again_meanwhile(site: OperatorSite) -> None:
    await make(site, **DELETE)
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    site.api.edit("Deployment", NAMESPACE, "metrics", {"spec": {"replicas": 2}})
    await site.reconcile()
    assert site.deployment()["spec"]["replicas"] == 0


async def test_finalizers_of_others_stay(site: OperatorSite) -> None:
    await make(site, **DELETE)
    both = {"metadata": {"finalizers": ["example.org/theirs", FINALIZER]}}
    site.api.edit("Ingestor", NAMESPACE, "metrics", both)
    site.change_spec(schema={"reclaimPolicy": "Retain"})
    await site.settle()
    assert finalizers(site) == ["example.org/theirs"]
    site.change_spec(schema={"reclaimPolicy": "Delete"})
    await site.settle()
    assert finalizers(site) == ["example.org/theirs", FINALIZER]
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    remove_pods(site.api, NAMESPACE)
    await site.reconcile()
    assert finalizers(site) == ["example.org/theirs"]
    assert await site.reconcile() is None
    assert len(site.database.dropped) == 1


async def test_a_finalizer_that_comes_during_a_pass_is_not_lost(site: OperatorSite) -> None:
    site.add_ingestor(**DELETE)
    site.deliver()

    def meanwhile(method: str, kind: str, name: str) -> None:
        site.api.faults.clear()
        site.api.edit("Ingestor", NAMESPACE, "metrics", {"metadata": {"finalizers": ["example.org/theirs"]}})

    site.api.faults.append(meanwhile)  # before the first status, whose answer brings the newer object
    await site.reconciler(key_of())
    assert set(finalizers(site) or []) == {"example.org/theirs", FINALIZER}


@pytest.mark.parametrize("cause", ["database", "secret"])
async def test_what_blocks_it_is_told_with_the_way_out(site: OperatorSite, cause: str) -> None:
    await make(site, **DELETE)
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    remove_pods(site.api, NAMESPACE)
    if cause == "database":
        site.database.drop_error = DatabaseError("ObjectDependedOn", "a view of theirs rests on samples")
    else:
        site.api.delete("Secret", NAMESPACE, "owner")
        site.start_operator()  # one that has not seen the Secret
    again_s = await site.reconcile()
    assert again_s is not None
    assert finalizers(site) == [FINALIZER]
    assert site.conditions()["Ready"] == ("False", "DeletionBlocked")
    assert "reclaimPolicy to Retain" in site.message("Ready")
    site.writes.clear()
    await site.reconcile()
    assert site.writes == []
    site.change_spec(schema={"reclaimPolicy": "Retain"})
    await site.reconcile()
    assert finalizers(site) is None
    assert site.database.dropped == []


async def test_secrets_that_go_with_their_namespace_do_not_hold_it_up(site: OperatorSite) -> None:
    await make(site, **DELETE)
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    for secret in ("owner", "writer"):
        site.api.delete("Secret", NAMESPACE, secret)
    remove_pods(site.api, NAMESPACE)
    await site.reconcile()
    assert len(site.database.dropped) == 1
    assert finalizers(site) is None


async def test_unmanaged_data_are_left_alone(site: OperatorSite) -> None:
    await make(site, **DELETE)
    site.change_spec(managementState="Unmanaged")
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    assert finalizers(site) is None
    assert site.database.dropped == []
    assert site.deployment()["spec"]["replicas"] == 2


async def test_the_way_out_works_for_a_spec_that_is_invalid_otherwise(site: OperatorSite) -> None:
    await make(site, **DELETE)
    entry = site.api.objects["Ingestor", NAMESPACE, "metrics"]
    entry.body["spec"]["database"]["port"] = "many"
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "DeletionBlocked")
    site.change_spec(schema={"reclaimPolicy": "Retain"})
    await site.reconcile()
    assert finalizers(site) is None


async def test_a_schema_that_others_use_stays(site: OperatorSite) -> None:
    await make(site, **DELETE)
    await make(site, "other")
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    remove_pods(site.api, NAMESPACE)
    await site.reconcile()
    assert finalizers(site) is None
    assert site.database.dropped == []
    assert ("Normal", "SchemaKept") in site.events()
    assert len(site.api.of_kind("Pod")) == 2


async def test_one_of_the_same_name_that_follows_at_once_has_its_schema_made_again(site: OperatorSite) -> None:
    await make(site, **DELETE)
    site.api.delete("Ingestor", NAMESPACE, "metrics")
    await site.reconcile()
    remove_pods(site.api, NAMESPACE)
    await site.reconcile()
    looks = len(site.database.kept)
    site.api.collect_garbage()
    site.add_ingestor(**DELETE)
    await site.reconcile()
    assert len(site.database.kept) == looks + 1
    assert site.conditions()["Ready"] == ("False", "NoPodAvailable")
