"""What errors of the schema engine mean for the conditions; a new one cannot be forgotten."""

from dataclasses import replace

import pytest

from ingestor.errors import ConfigurationError, IngestorError
from ingestor.schema.faults import DatabaseRefusedError, DatabaseUnavailableError, SchemaError, SchemaTransientError
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import DatabaseChangedError, DriftedError, HeldError, Plan, StaleApprovalError, Step
from ingestor_operator import database
from ingestor_operator.conditions.verdict import failed, ok
from ingestor_operator.database import Before, SchemaVerdict, Target, explain, keep_schema, roles_of
from ingestor_operator.errors import BlockedError
from ingestor_operator.resource.database import DriftPolicy
from ingestor_operator.resource.status import Condition

PLAN = Plan("db", (Step("index", "i", ("CREATE INDEX",), "make an index", "held", "it is big"),))


def subclasses(kind: type[IngestorError]) -> set[type[IngestorError]]:
    """Return a class and all below it."""
    return {kind}.union(*(subclasses(below) for below in kind.__subclasses__()))


FAULTS = sorted(subclasses(SchemaError) | subclasses(SchemaTransientError), key=lambda fault: fault.__name__)
AWAY = subclasses(DatabaseRefusedError) | subclasses(DatabaseUnavailableError) | {SchemaTransientError}


def make(fault: type[IngestorError]) -> IngestorError:
    """Return an error of a class."""
    if fault is DatabaseChangedError:
        return DatabaseChangedError(PLAN, "another")
    return fault(PLAN) if issubclass(fault, HeldError) else fault("it says why")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_has_its_condition(fault: type[IngestorError]) -> None:
    error = make(fault)
    verdict = explain(error)
    reason = "".join(word.capitalize() for word in error.reason.split("_"))  # type: ignore[attr-defined]
    assert verdict.applied.reason == reason
    assert not verdict.good
    if fault in AWAY:
        assert (verdict.reachable.status, verdict.reachable.reason) == ("False", reason)
        assert verdict.applied.status == "Unknown"
        assert verdict.reachable.message == str(error)
    else:
        assert verdict.reachable.status == "True"
        assert verdict.applied.status == "False"
        assert str(error) in verdict.applied.message
    assert verdict.pods_may_roll is (issubclass(fault, HeldError) and fault is not DatabaseChangedError)
    for item in (verdict.reachable, verdict.applied):
        Condition(
            type="x", status=item.status, observed_generation=1, last_transition_time="now", reason=item.reason,
            message=item.message,
        )  # fmt: skip


def test_an_approval_is_asked_for_by_its_field_and_hash() -> None:
    for error in (HeldError(PLAN), StaleApprovalError(PLAN)):
        assert f"spec.schema.approvedPlan: {PLAN.hash}" in explain(error).applied.message


def _target(drift: DriftPolicy = "Correct", approved: str | None = None, **before: str) -> Target:
    return Target("url", Roles.for_schema("analytics"), SchemaSpec(), "Apply", approved, drift, Before(**before))


def test_the_first_look_and_the_same_database_are_no_news() -> None:
    _target().check(PLAN)
    _target(database=PLAN.identity).check(PLAN)


def test_another_database_is_left_alone_until_its_plan_is_approved() -> None:
    for plan in (PLAN, Plan("db")):  # a copy that has the schema already, too
        with pytest.raises(DatabaseChangedError, match=f"not another as before.*accepted as {plan.hash}"):
            _target(database="another").check(plan)
        _target(database="another", approved=plan.hash).check(plan)


def test_only_what_was_applied_before_can_drift() -> None:
    applied = _target().asked
    with pytest.raises(DriftedError, match="changed by other hands; to correct it: make an index"):
        _target("Report", database="db", applied=applied).check(PLAN)
    for fine in (
        _target("Correct", database="db", applied=applied),
        _target("Report", database="db", applied="what was asked for before"),
        _target("Report"),
    ):
        fine.check(PLAN)
    _target("Report", database="db", applied=applied).check(Plan("db"))


def test_the_status_keeps_what_is_applied_and_what_waits() -> None:
    target = _target(database="db", applied="before")
    held = explain(HeldError(PLAN)).status(target)
    assert held["pendingPlan"] == {"hash": PLAN.hash, "steps": ["held: make an index, which it is big"]}
    assert (held["database"], held["applied"]) == ("db", "before")
    assert explain(DatabaseUnavailableError("away")).status(target) == {
        "database": "db",
        "applied": "before",
        "pendingPlan": None,
    }


def test_what_is_offered_waits_in_the_status_of_a_schema_that_is_as_asked_for() -> None:
    offer = Plan("db", (Step("rollup", "by_hour", ("…",), "drop rollup by_hour", "held", "drops sums"),))
    verdict = SchemaVerdict(ok("a", "b"), ok("Applied", "b"), plan=Plan("db", offer=offer))
    target = _target(database="db", applied="before")
    assert verdict.good
    assert verdict.pending == offer
    assert verdict.status(target) == {
        "database": "db",
        "applied": target.asked,
        "pendingPlan": {"hash": offer.hash, "steps": ["held: drop rollup by_hour, which drops sums"]},
    }


def test_what_a_build_lacks_and_which_policies_fail_are_conditions() -> None:
    plan = Plan("db", unavailable=("no columnstore",), failing=("job 7 failed",))
    verdict = SchemaVerdict(ok("a", "b"), ok("a", "b"), plan=plan)
    assert verdict.capable == failed("FeatureUnavailable", "no columnstore")
    assert verdict.policies == failed("PolicyFailing", "job 7 failed")
    assert SchemaVerdict(ok("a", "b"), ok("a", "b")).capable is None


@pytest.mark.parametrize(
    ("steps", "status", "reason"),
    [
        ((), "True", "Observed"),
        (PLAN.steps, "True", "Observed"),
        ((*PLAN.steps, Step("migration", "9", ("…",), "apply migration 9")), "False", "PlanPending"),
    ],
)
async def test_a_schema_that_others_keep_needs_only_what_pods_need(
    monkeypatch: pytest.MonkeyPatch, steps: tuple[Step, ...], status: str, reason: str
) -> None:
    async def plan_schema(*_: object, **__: object) -> Plan:
        return Plan("db", steps)

    monkeypatch.setattr(database, "plan_schema", plan_schema)
    target = replace(_target(), policy="Observe")
    verdict = await keep_schema(target)
    assert (verdict.applied.status, verdict.applied.reason) == (status, reason)
    assert verdict.pods_may_roll is (status == "True")
    assert not verdict.status(target).get("applied")


def test_an_error_without_a_reason_is_still_told() -> None:
    verdict = explain(ConfigurationError("odd"))
    assert (verdict.applied.status, verdict.applied.reason) == ("False", "Unknown")
    assert "odd" in verdict.applied.message


@pytest.mark.parametrize("url", ["postgresql://u:p@[db:5432]/metrics?sslmode=disable", "postgresql://u:p@h:x/d"])
async def test_a_url_that_cannot_be_read_is_a_verdict_and_no_crash(url: str) -> None:
    target = Target(url, Roles.for_schema("analytics"), SchemaSpec(), "Apply", None)
    assert (await keep_schema(target)).reachable.reason == "DatabaseRefused"


def test_roles_follow_from_the_secrets_and_the_schema() -> None:
    assert roles_of("o", "w", None, "analytics") == Roles("o", "w", "analytics_reader")
    assert roles_of("o", "w", "grafana", "analytics").reader == "grafana"


@pytest.mark.parametrize(
    "names", [("a", "a", None), ("a", "b", "a"), ("a b", "w", None), ("o", "w\n", None), ("", "w", None)]
)
def test_roles_that_cannot_be_are_refused(names: tuple[str, str, str | None]) -> None:
    with pytest.raises(BlockedError) as refusal:
        roles_of(*names, "analytics")
    assert refusal.value.reason == "RolesInvalid"
