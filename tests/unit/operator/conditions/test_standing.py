"""Is this generation rolled out, and who serves meanwhile?"""

from typing import Any

from ingestor_operator.conditions.standing import Standing, View
from ingestor_operator.conditions.verdict import Verdict, failed
from ingestor_operator.manifests.deployment import TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest


def deployment(template: str = "new", desired: int = 2, generation: int = 1, **status: int) -> Manifest:
    """Return a Deployment."""
    metadata = {"generation": generation, "annotations": {TEMPLATE_ANNOTATION: template}}
    return {"metadata": metadata, "spec": {"replicas": desired}, "status": {"observedGeneration": 1, **status}}


DONE: dict[str, Any] = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}


def judge(
    found: Manifest | None,
    before: str = "",
    *,
    desired: str = "new",
    waiting: bool = False,
    refused: Verdict | None = None,
) -> Standing:
    """Judge pods."""
    return View(found, [], desired, waiting=waiting, refused=refused).judge(before)


def test_all_new_and_available_is_rolled_out_and_remembered() -> None:
    standing = judge(deployment(**DONE))
    assert standing.rolled_out
    assert standing.numbers == {"replicas": 2, "readyReplicas": 2, "rolledOut": "new"}


def test_without_pods_there_is_none() -> None:
    standing = judge(None)
    assert not standing.rolled_out
    assert standing.numbers["replicas"] == 0
    assert standing.available.reason == "NoPodAvailable"
    assert judge(None, refused=failed("Invalid", "why")).progressing.reason == "Invalid"


def test_more_pods_of_a_template_that_was_rolled_out_change_nothing_while_one_serves() -> None:
    growing = deployment(desired=5, replicas=3, updatedReplicas=3, availableReplicas=1)
    assert judge(growing, "new").rolled_out
    assert not judge(growing, "other").rolled_out
    unseen = deployment(desired=5, generation=2, **DONE)  # its controller has not looked yet
    assert judge(unseen, "new").rolled_out
    alone = deployment(desired=5, replicas=5, updatedReplicas=5)
    assert not judge(alone, "new").rolled_out


def test_old_pods_that_are_left_are_not_this_generation() -> None:
    assert not judge(deployment(replicas=3, updatedReplicas=2, availableReplicas=3), "new").rolled_out


def test_a_template_that_is_held_back_is_not_rolled_out() -> None:
    standing = judge(deployment("old", **DONE), "old")
    assert not standing.rolled_out
    assert (standing.progressing.status, standing.progressing.reason) == ("Unknown", "Held")


def test_waiting_for_ones_turn_is_well() -> None:
    standing = judge(deployment("old", **DONE), "old", waiting=True)
    assert standing.rolled_out
    assert (standing.progressing.status, standing.progressing.reason) == ("True", "UpgradeWaiting")
    assert "rolledOut" not in standing.numbers


def test_a_refusal_is_how_it_progresses() -> None:
    standing = judge(deployment(**DONE), refused=failed("Forbidden", "why"))
    assert standing.progressing.reason == "Forbidden"
