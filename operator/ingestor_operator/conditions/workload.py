"""Judge the Deployment and, where something is wrong, its pods: a Deployment alone does not say why."""

from dataclasses import dataclass
from typing import Any

from ingestor_operator.conditions.verdict import Verdict, failed, ok, unknown
from ingestor_operator.manifests.deployment import CONTAINER, TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest

_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True, slots=True)
class Workload:
    """The numbers of a Deployment; ``template`` is the hash of the template that it was made from."""

    desired: int
    replicas: int
    updated: int
    ready: int
    available: int
    template: str
    observed: bool

    @property
    def complete(self) -> bool:
        """Tell whether every pod is of this template and available, and no other is left."""
        return self.observed and self.replicas == self.updated == self.available == self.desired

    @property
    def replaced(self) -> bool:
        """Tell whether no pod of an earlier template is left, if the template has not just changed."""
        return self.replicas == self.updated


def read_workload(deployment: Manifest) -> Workload:
    """Return the numbers of a Deployment."""
    status = deployment.get("status") or {}
    metadata = deployment["metadata"]
    return Workload(
        desired=deployment["spec"].get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        template=(metadata.get("annotations") or {}).get(TEMPLATE_ANNOTATION, ""),
        observed=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
    )


def judge_available(workload: Workload) -> Verdict:
    """Return whether anybody serves."""
    numbers = f"{workload.available} of {workload.desired} pods are available"
    if workload.desired == 0:
        return ok("ScaledToZero", "no pods are asked for")
    return (
        ok("PodsAvailable", numbers) if workload.available else failed("NoPodAvailable", f"{numbers}; see Progressing")
    )


def judge_progress(workload: Workload, deployment: Manifest, pods: list[Manifest]) -> Verdict:
    """Return whether the pods get where they should be; ``pods`` is needed only while they are not."""
    if workload.complete:
        return ok("RolledOut", f"all {workload.desired} pods are of this generation and available")
    trouble = _refused_pods(deployment) or _find_trouble(pods)
    if trouble is not None:
        return trouble
    late = _condition(deployment, "Progressing")
    if late.get("status") == "False":
        return failed(late.get("reason", "Stalled"), f"{late.get('message', '')} See `kubectl describe pods`.")
    numbers = f"{workload.updated} of {workload.desired} pods are of this generation, {workload.available} available"
    if workload.replicas > workload.updated:
        numbers += f"; {workload.replicas - workload.updated} old ones are left"
    return ok("RollingOut", numbers)


def unmade() -> tuple[Verdict, Verdict]:
    """Return Available and Progressing where there is no Deployment yet."""
    text = "no pods were made yet; see DatabaseReachable and SchemaApplied"
    return failed("NoPodAvailable", text), unknown("NotStarted", text)


def _refused_pods(deployment: Manifest) -> Verdict | None:
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    message = failure.get("message", "")
    if "exceeded quota" in message:
        return failed("QuotaExceeded", f"{message}; raise the quota, or ask for less in spec.pod.resources or replicas")
    return failed("PodsRefused", f"pods can't be made: {message}; correct spec.pod, or what refuses them")


def _find_trouble(pods: list[Manifest]) -> Verdict | None:
    """Return what keeps the first troubled pod from running, the newest pods first."""
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    for pod in newest_first:
        if "deletionTimestamp" not in pod["metadata"]:
            trouble = _trouble_of(pod)
            if trouble is not None:
                return trouble
    return None


def _trouble_of(pod: Manifest) -> Verdict | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        advice = "ask for less in spec.pod.resources, correct nodeSelector, affinity or tolerations, or add nodes"
        return failed("Unschedulable", f"pod {name}: {scheduled.get('message', 'no node fits')}; {advice}")
    containers = [item for item in status.get("containerStatuses") or [] if item["name"] == CONTAINER]
    return _container_trouble(name, containers[0]) if containers else None


def _container_trouble(pod: str, container: dict[str, Any]) -> Verdict | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_REASONS:
        text = f"pod {pod}: image {container.get('image')} can't be pulled: {message or reason}"
        return failed("ImagePullFailed", f"{text}; correct spec.image or spec.pod.imagePullSecrets")
    if reason in _CONFIG_REASONS:
        return failed("PodConfigFailed", f"pod {pod}: {message or reason}; correct the Secret or key that it names")
    ended = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated")
    if ended and not container.get("ready") and (container.get("restartCount", 0) or reason == "CrashLoopBackOff"):
        log = (ended.get("message") or "").strip()
        text = f"pod {pod} ended {container.get('restartCount', 0)} times, exit code {ended.get('exitCode')}"
        if ended.get("reason") == "OOMKilled":
            text += ", out of memory: raise spec.pod.resources.limits.memory"
        return failed("CrashLooping", f"{text}; see `kubectl logs {pod} --previous`: {log or 'it said nothing'}")
    return None


def _condition(manifest: Manifest, kind: str) -> dict[str, Any]:
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == kind), {})
