"""What controllers and kubelets would do to Deployments and pods, done at once and on request."""

from typing import Any

from ingestor_operator.manifests.deployment import CONTAINER
from support.fake_cluster import FakeApiServer
from support.fake_objects import Manifest

READY = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]


def complete_rollout(api: FakeApiServer, namespace: str, name: str = "metrics") -> None:
    """Replace the pods of a Deployment by ready ones of its template, and say so in its status."""
    deployment = api.get("Deployment", namespace, name)
    assert deployment is not None
    remove_pods(api, namespace, name)
    count = deployment["spec"]["replicas"]
    for number in range(count):
        add_pod(api, deployment, f"{name}-{deployment['metadata']['generation']}-{number}", READY)
    set_counts(api, namespace, name, replicas=count, updated=count, ready=count)


def set_counts(
    api: FakeApiServer,
    namespace: str,
    name: str = "metrics",
    *,
    replicas: int,
    updated: int,
    ready: int,
    conditions: list[Manifest] | None = None,
) -> None:
    """Write a Deployment's status, as its controller; counts of 0 are left out there."""
    deployment = api.get("Deployment", namespace, name)
    assert deployment is not None
    counts = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    status: Manifest = {key: value for key, value in counts.items() if value}
    api.set_status("Deployment", namespace, name, {**status, "conditions": conditions or []})


def add_pod(api: FakeApiServer, deployment: Manifest, name: str, conditions: list[Manifest], **status: Any) -> None:
    """Make a pod of a Deployment's template."""
    metadata = deployment["spec"]["template"]["metadata"]
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": deployment["metadata"]["namespace"],
                "labels": metadata["labels"],
                "annotations": metadata["annotations"],
            },
            "spec": deployment["spec"]["template"]["spec"],
            "status": {
                "podIP": "10.1.0.1",
                "phase": "Running",
                "conditions": conditions,
                "containerStatuses": [{"name": CONTAINER, "ready": True, "restartCount": 0}],
                **status,
            },
        },
        "kubelet",
    )


def remove_pods(api: FakeApiServer, namespace: str, name: str = "metrics") -> None:
    """Let all pods of an Ingestor be gone."""
    for pod in api.of_kind("Pod"):
        if pod["metadata"]["labels"]["app.kubernetes.io/instance"] == name:
            api.delete("Pod", namespace, pod["metadata"]["name"])
