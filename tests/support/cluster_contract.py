"""What the operator relies on when it writes to an API server; runs on the fake and on a real cluster.

A test module derives from ``ClusterContract`` and gives two fixtures: ``cluster``, the operator's client, and
``namespace``, where objects may be made.
"""

import asyncio
from typing import Any

import pytest

from ingestor_operator.cluster import INGESTORS, Cluster
from ingestor_operator.errors import ClusterError, RefusedError
from ingestor_operator.manifests.children import KINDS, build_children
from ingestor_operator.manifests.drift import satisfies
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.resource.ingestor import FINALIZER, Ingestor
from support.operator_specs import FACTS, ingestor_body, parsed

DEPLOYMENTS, SERVICES = KINDS[4], KINDS[1]


class ClusterContract:
    """Each test makes an Ingestor of its own name; no operator runs."""

    async def test_the_status_and_its_parts_go_together_and_the_spec_has_its_defaults(
        self, cluster: Cluster, namespace: str
    ) -> None:
        body = await make(cluster, namespace, "defaults")
        assert body["spec"]["server"]["limits"]["messageSize"] == "4Mi"
        written = await cluster.write_status(namespace, "defaults", {"replicas": 1, "image": "a", "selector": "b=c"})
        assert written["spec"] == body["spec"]
        assert written["metadata"]["generation"] == body["metadata"]["generation"]
        assert written["status"]["selector"] == "b=c"
        again = await cluster.write_status(namespace, "defaults", {"replicas": 2, "image": None})
        assert again["status"]["replicas"] == 2
        assert "image" not in again["status"]

    async def test_a_status_that_says_nothing_new_keeps_the_version(self, cluster: Cluster, namespace: str) -> None:
        await make(cluster, namespace, "same-status")
        first = await cluster.write_status(namespace, "same-status", {"replicas": 1})
        second = await cluster.write_status(namespace, "same-status", {"replicas": 1})
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]

    async def test_every_child_satisfies_what_was_applied_and_a_second_apply_changes_nothing(
        self, cluster: Cluster, namespace: str
    ) -> None:
        for manifest in await children(cluster, namespace, "twice"):
            first = await cluster.apply(manifest, force=False)
            assert satisfies(first, manifest), manifest["kind"]
            await becomes_silent(cluster, manifest)

    async def test_a_field_that_is_no_longer_applied_goes_away(self, cluster: Cluster, namespace: str) -> None:
        manifest = await child(cluster, namespace, "dropped", "Service")
        manifest["metadata"]["annotations"]["note"] = "x"
        assert "note" in (await cluster.apply(manifest, force=False))["metadata"]["annotations"]
        del manifest["metadata"]["annotations"]["note"]
        assert "note" not in (await cluster.apply(manifest, force=True))["metadata"]["annotations"]

    async def test_what_others_add_stays(self, cluster: Cluster, namespace: str) -> None:
        manifest = await child(cluster, namespace, "added", "Deployment")
        await cluster.apply(manifest, force=False)
        await cluster.merge(DEPLOYMENTS, namespace, "added", {"metadata": {"annotations": {"theirs": "x"}}})
        applied = await cluster.apply(manifest, force=True)
        assert applied["metadata"]["annotations"]["theirs"] == "x"

    async def test_another_writers_value_is_a_conflict_until_it_is_forced(
        self, cluster: Cluster, namespace: str
    ) -> None:
        manifest = await child(cluster, namespace, "rivals", "Deployment")
        await cluster.apply(manifest, force=False)
        # A merge is an owner of its own, even by the same client.
        await cluster.merge(DEPLOYMENTS, namespace, "rivals", {"spec": {"minReadySeconds": 7}})
        with pytest.raises(RefusedError) as refusal:
            await cluster.apply(manifest, force=False)
        assert refusal.value.reason == "Conflict"
        applied = await cluster.apply(manifest, force=True)
        assert applied["spec"]["minReadySeconds"] == manifest["spec"]["minReadySeconds"]

    async def test_a_deployments_generation_counts_its_spec_and_its_annotations(
        self, cluster: Cluster, namespace: str
    ) -> None:
        manifest = await child(cluster, namespace, "generations", "Deployment")
        first = (await cluster.apply(manifest, force=False))["metadata"]["generation"]
        changed = await cluster.merge(DEPLOYMENTS, namespace, "generations", {"spec": {"minReadySeconds": 7}})
        noted = await cluster.merge(DEPLOYMENTS, namespace, "generations", {"metadata": {"annotations": {"note": "x"}}})
        labelled = await cluster.merge(DEPLOYMENTS, namespace, "generations", {"metadata": {"labels": {"note": "x"}}})
        found = [body["metadata"]["generation"] - first for body in (changed, noted, labelled)]
        assert found == [1, 2, 2]

    async def test_finalizers_are_set_at_the_expected_version_alone(self, cluster: Cluster, namespace: str) -> None:
        body = await make(cluster, namespace, "finalizers")
        version = body["metadata"]["resourceVersion"]
        held = await cluster.set_finalizers(namespace, "finalizers", version, [FINALIZER])
        assert held["metadata"]["finalizers"] == [FINALIZER]
        with pytest.raises(RefusedError):
            await cluster.set_finalizers(namespace, "finalizers", version, [])
        await cluster.set_finalizers(namespace, "finalizers", held["metadata"]["resourceVersion"], [])
        (found,) = [item for item in await cluster.list_objects(INGESTORS, namespace) if is_named(item, "finalizers")]
        assert not found["metadata"].get("finalizers")

    async def test_an_object_with_a_finalizer_waits_for_it(self, cluster: Cluster, namespace: str) -> None:
        body = await make(cluster, namespace, "waits")
        held = await cluster.set_finalizers(namespace, "waits", body["metadata"]["resourceVersion"], [FINALIZER])
        await cluster.delete(INGESTORS, namespace, "waits")
        (found,) = [item for item in await cluster.list_objects(INGESTORS, namespace) if is_named(item, "waits")]
        assert "deletionTimestamp" in found["metadata"]
        assert found["metadata"]["generation"] > held["metadata"]["generation"]
        with pytest.raises(RefusedError):
            version = found["metadata"]["resourceVersion"]
            await cluster.set_finalizers(namespace, "waits", version, [FINALIZER, "example.org/another"])
        await cluster.set_finalizers(namespace, "waits", found["metadata"]["resourceVersion"], [])
        assert not any(is_named(item, "waits") for item in await cluster.list_objects(INGESTORS, namespace))

    async def test_objects_are_listed_whole_with_their_kind_by_label(self, cluster: Cluster, namespace: str) -> None:
        for name in ("listed-a", "listed-b"):
            await cluster.apply(await child(cluster, namespace, name, "Service"), force=False)
        found = await cluster.list_objects(SERVICES, namespace, {"app.kubernetes.io/instance": "listed-a"})
        assert [(item["kind"], item["metadata"]["name"]) for item in found] == [("Service", "listed-a")]
        assert "managedFields" not in found[0]["metadata"]

    async def test_one_object_is_found_by_its_name(self, cluster: Cluster, namespace: str) -> None:
        await cluster.apply(await child(cluster, namespace, "found", "Service"), force=False)
        found = await cluster.find_object(SERVICES, namespace, "found")
        assert found is not None
        assert (found["kind"], found["metadata"]["name"]) == ("Service", "found")
        assert await cluster.find_object(SERVICES, namespace, "found-headless") is None

    async def test_what_is_not_there_is_none_or_fine_or_may_succeed_later(
        self, cluster: Cluster, namespace: str
    ) -> None:
        assert await cluster.read_secret(namespace, "no-such") is None
        await cluster.delete(SERVICES, namespace, "no-such")
        with pytest.raises(ClusterError):
            await cluster.merge(SERVICES, namespace, "no-such", {"metadata": {"labels": {"a": "b"}}})

    async def test_events_are_taken(self, cluster: Cluster, namespace: str) -> None:
        body = await make(cluster, namespace, "told")
        await cluster.post_event(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "told.1", "namespace": namespace},
                "involvedObject": {"kind": "Ingestor", "name": "told", "namespace": namespace},
                "type": "Normal",
                "reason": "Tested",
                "message": f"version {body['metadata']['resourceVersion']}",
            }
        )


async def becomes_silent(cluster: Cluster, manifest: Manifest) -> None:
    """Apply until the version stays, as it does once controllers have written what they have to say at first.

    Raises:
        AssertionError: it still changes after some seconds.
    """
    versions = [""]
    for _ in range(50):
        versions.append((await cluster.apply(manifest, force=False))["metadata"]["resourceVersion"])
        if versions[-1] == versions[-2]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{manifest['kind']} changes with every apply: {versions}")


async def make(cluster: Cluster, namespace: str, name: str, **spec: Any) -> Manifest:
    """Create an Ingestor and return it."""
    body = ingestor_body(name, **spec)
    body["metadata"]["namespace"] = namespace
    return await cluster.apply(body, force=True)


async def children(cluster: Cluster, namespace: str, name: str) -> list[Manifest]:
    """Return what belongs to a new Ingestor, without pods and without a PodMonitor, whose kind may be missing."""
    autoscaling = {"minReplicas": 1, "maxReplicas": 2}
    body = await make(cluster, namespace, name, replicas=0, autoscaling=autoscaling)
    spec = parsed(replicas=0, autoscaling=autoscaling)
    return build_children(Ingestor.read(body), spec, FACTS)


async def child(cluster: Cluster, namespace: str, name: str, kind: str) -> Manifest:
    """Return one child of a new Ingestor."""
    return next(item for item in await children(cluster, namespace, name) if item["kind"] == kind)


def is_named(body: Manifest, name: str) -> bool:
    """Tell whether this is the object's name."""
    return bool(body["metadata"]["name"] == name)
