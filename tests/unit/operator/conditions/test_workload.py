"""What a Deployment and its pods say, in words that tell what to do."""

from typing import Any

import pytest

from ingestor_operator.conditions.verdict import MAX_MESSAGE, Verdict
from ingestor_operator.conditions.workload import judge_available, judge_progress, read_workload
from ingestor_operator.manifests.deployment import CONTAINER, TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest


def deployment(
    *, desired: int = 2, generation: int = 1, observed: int = 1, conditions: list[Manifest] | None = None, **counts: int
) -> Manifest:
    """Return a Deployment; counts that are left out are 0, as the API has them."""
    status = {"observedGeneration": observed, "conditions": conditions or [], **counts}
    metadata = {"generation": generation, "annotations": {TEMPLATE_ANNOTATION: "hash"}}
    return {"metadata": metadata, "spec": {"replicas": desired}, "status": status}


def pod(name: str = "p", created: str = "1", *, deleting: bool = False, **status: Any) -> Manifest:
    """Return a pod."""
    metadata = {"name": name, "creationTimestamp": created} | ({"deletionTimestamp": "2"} if deleting else {})
    return {"metadata": metadata, "status": status}


def container(name: str = CONTAINER, **state: Any) -> Manifest:
    """Return the part of a pod's status that its container is in."""
    return {"containerStatuses": [{"name": name, "image": "own:1", "restartCount": 0, "ready": False, **state}]}


def waiting(reason: str, message: str = "", **state: Any) -> Manifest:
    """Return a container that waits."""
    return container(state={"waiting": {"reason": reason, "message": message}}, **state)


def crashed(log: str = "", reason: str = "Error", code: int = 2, restarts: int = 3) -> Manifest:
    """Return a container that ended and waits for its next start."""
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": log}}
    return waiting("CrashLoopBackOff", lastState=ended, restartCount=restarts)


def judge(*pods: Manifest, conditions: list[Manifest] | None = None) -> Verdict:
    """Judge a rollout that is under way."""
    found = deployment(replicas=3, updatedReplicas=1, availableReplicas=2, conditions=conditions)
    return judge_progress(read_workload(found), found, list(pods))


def test_complete_means_that_every_pod_is_new_and_available_and_that_the_controller_has_seen_it() -> None:
    done: dict[str, Any] = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    assert read_workload(deployment(**done)).complete
    assert read_workload(deployment(desired=0)).complete
    for change in (
        {"replicas": 3},
        {"updatedReplicas": 1},
        {"availableReplicas": 1},
        {"desired": 3},
        {"generation": 2},
    ):
        assert not read_workload(deployment(**{**done, **change})).complete
    assert not read_workload({"metadata": {}, "spec": {}}).complete


def test_a_rollout_says_how_far_it_is() -> None:
    verdict = judge()
    assert (verdict.status, verdict.reason) == ("True", "RollingOut")
    assert verdict.message == "1 of 2 pods are of this generation, 2 available; 2 old ones are left"


def test_available_is_whether_anybody_serves() -> None:
    def judged(**counts: int) -> tuple[str, str]:
        verdict = judge_available(read_workload(deployment(**counts)))  # type: ignore[arg-type]
        return verdict.status, verdict.reason

    assert judged(availableReplicas=1) == ("True", "PodsAvailable")
    assert judged() == ("False", "NoPodAvailable")
    assert judged(desired=0) == ("True", "ScaledToZero")


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"]
)
def test_an_image_that_cannot_be_had_is_named_with_what_to_correct(reason: str) -> None:
    verdict = judge(pod(**waiting(reason, "not found")))
    assert (verdict.status, verdict.reason) == ("False", "ImagePullFailed")
    assert "own:1" in verdict.message
    assert "not found" in verdict.message
    assert "spec.image" in verdict.message


def test_a_crash_shows_the_end_of_its_log() -> None:
    log = "start\n" * 1000 + "the last words"
    verdict = judge(pod(**crashed(log)))
    assert (verdict.status, verdict.reason) == ("False", "CrashLooping")
    assert verdict.message.endswith("the last words")
    assert len(verdict.message) <= MAX_MESSAGE + 2
    assert "exit code 2" in judge(pod(**crashed("short"))).message


def test_out_of_memory_says_which_limit_to_raise() -> None:
    verdict = judge(pod(**crashed(reason="OOMKilled", code=137)))
    assert "spec.pod.resources.limits.memory" in verdict.message


def test_a_crash_counts_before_the_kubelet_backs_off() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "boom"}}
    assert judge(pod(**container(state=ended, restartCount=1))).reason == "CrashLooping"
    assert judge(pod(**container(state={"running": {}}, lastState=ended, restartCount=1))).reason == "CrashLooping"
    recovered = container(state={"running": {}}, lastState=ended, restartCount=1, ready=True)
    assert judge(pod(**recovered)).reason == "RollingOut"


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_configuration_that_no_container_can_have_is_told(reason: str) -> None:
    verdict = judge(pod(**waiting(reason, 'secret "writer" not found')))
    assert (verdict.status, verdict.reason) == ("False", "PodConfigFailed")
    assert "writer" in verdict.message


def test_no_node_that_fits_is_told() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: insufficient cpu"}
    verdict = judge(pod(conditions=[scheduled]))
    assert (verdict.status, verdict.reason) == ("False", "Unschedulable")
    assert "insufficient cpu" in verdict.message


@pytest.mark.parametrize(
    ("message", "reason", "advice"),
    [
        ('pods "x" is forbidden: exceeded quota: cpu', "QuotaExceeded", "raise the quota"),
        ("violates PodSecurity", "PodsRefused", "can't be made"),
    ],
)
def test_pods_that_may_not_be_made_are_told(message: str, reason: str, advice: str) -> None:
    verdict = judge(conditions=[{"type": "ReplicaFailure", "status": "True", "message": message}])
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert advice in verdict.message
    assert judge(conditions=[{"type": "ReplicaFailure", "status": "False", "message": message}]).good


def test_a_rollout_that_is_late_is_told_where_nothing_says_why() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    verdict = judge(pod(), conditions=[late])
    assert (verdict.status, verdict.reason) == ("False", "ProgressDeadlineExceeded")
    assert judge(pod(**waiting("ErrImagePull")), conditions=[late]).reason == "ImagePullFailed"


def test_the_newest_pod_counts_and_those_that_go_do_not() -> None:
    old = pod("old", "1", **crashed("old trouble"))
    new = pod("new", "2", **waiting("ErrImagePull"))
    leaving = pod("leaving", "3", deleting=True, **crashed("leaving"))
    assert judge(old, new, leaving).reason == "ImagePullFailed"
    assert judge(old, pod("fine", "2")).reason == "CrashLooping"


def test_other_containers_are_not_ours_to_judge() -> None:
    assert judge(pod(**container("sidecar", state={"waiting": {"reason": "ErrImagePull"}}))).reason == "RollingOut"


def test_nothing_is_wrong_once_all_is_done() -> None:
    found = deployment(replicas=2, updatedReplicas=2, availableReplicas=2)
    assert judge_progress(read_workload(found), found, [pod(**crashed())]).reason == "RolledOut"
