"""Whose turn it is after an upgrade of the operator."""

from dataclasses import replace

from ingestor_operator.conditions.workload import Workload
from ingestor_operator.manifests.deployment import GENERATION_ANNOTATION, TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.upgrades import UpgradeTurns

A, B = ("team", "a"), ("team", "b")
DONE = Workload(desired=2, replicas=2, updated=2, ready=2, available=2, template="new", observed=True)
HALF = replace(DONE, replicas=3, updated=1)


def deployment(template: str, cause: str) -> Manifest:
    """Return a Deployment of a template that a spec led to."""
    return {"metadata": {"annotations": {TEMPLATE_ANNOTATION: template, GENERATION_ANNOTATION: cause}}}


OLD, NEW = deployment("old", "same"), deployment("new", "same")


def test_the_first_has_the_turn_until_its_pods_are_replaced() -> None:
    turns = UpgradeTurns()
    assert turns.may_roll(A, OLD, NEW)
    assert not turns.may_roll(B, OLD, NEW)
    assert turns.may_roll(A, OLD, NEW)
    turns.settle(A, HALF, failed=False)
    assert not turns.may_roll(B, OLD, NEW)
    turns.settle(B, DONE, failed=False)  # not its turn
    assert not turns.may_roll(B, OLD, NEW)
    turns.settle(A, DONE, failed=False)
    assert turns.may_roll(B, OLD, NEW)


def test_a_failure_and_a_departure_free_the_turn() -> None:
    turns = UpgradeTurns()
    assert turns.may_roll(A, OLD, NEW)
    turns.settle(A, HALF, failed=True)
    assert turns.may_roll(B, OLD, NEW)
    turns.forget(A)
    assert not turns.may_roll(A, OLD, NEW)
    turns.forget(B)
    assert turns.may_roll(A, OLD, NEW)


def test_who_has_no_pods_or_wants_others_need_not_wait() -> None:
    turns = UpgradeTurns()
    assert turns.may_roll(A, OLD, NEW)
    assert turns.may_roll(B, None, NEW)
    assert turns.may_roll(B, OLD, deployment("new", "changed"))
    assert turns.may_roll(B, NEW, NEW)
    assert turns.may_roll(B, {"metadata": {}}, NEW)


def test_who_need_not_wait_takes_no_turn() -> None:
    turns = UpgradeTurns()
    assert turns.may_roll(B, None, NEW)
    assert turns.may_roll(A, OLD, NEW)
