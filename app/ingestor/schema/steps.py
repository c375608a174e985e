"""A plan as data: what would be done, why, and whether it may be done unasked."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from ingestor.schema.faults import SchemaError

StepKind = Literal[
    "extension",
    "schema",
    "migration",
    "hypertable",
    "chunk_interval",
    "index",
    "job",
    "columnstore",
    "rollup",
    "refresh",
    "retention",
    "drop_chunks",
    "grants",
]
Safety = Literal["safe", "held"]

HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One change, run in one transaction unless ``transactional`` is False.

    ``sentence`` is for a person. ``reason`` says why a held step waits for approval, ``basis`` the facts that the
    approval rests on: when they change, it no longer counts.
    """

    kind: StepKind
    name: str
    statements: tuple[str, ...]
    sentence: str
    safety: Safety = "safe"
    reason: str = ""
    basis: tuple[str, ...] = ()
    transactional: bool = True

    def to_json(self) -> dict[str, object]:
        """Return the step for machines."""
        return {
            "kind": self.kind,
            "name": self.name,
            "sentence": self.sentence,
            "safety": self.safety,
            "reason": self.reason,
            "statements": list(self.statements),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that no step may touch; while there is one, nothing is applied."""

    fault: type[SchemaError]
    message: str

    @property
    def reason(self) -> str:
        """Return the stable name of what is wrong."""
        return self.fault.default_reason

    def error(self) -> SchemaError:
        """Return the error to raise for it."""
        return self.fault(self.message)


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from what is there to what is asked for, in the order of its steps.

    ``identity`` names the database and the schema that the plan was made for; ``unavailable`` says what is asked for
    and this build of TimescaleDB can't do, ``failing`` which policies failed when they ran last, ``notes`` what else
    there is to know, all in sentences. ``offer`` is a plan beside this one: what works as it is and would be better
    anew, at a cost, so that it runs only when it is approved by a hash of its own.
    """

    identity: str
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    unavailable: tuple[str, ...] = field(default=())
    failing: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    offer: "Plan | None" = None

    @property
    def empty(self) -> bool:
        """Tell whether the database is as asked for."""
        return not self.steps and not self.problems

    @property
    def held(self) -> tuple[Step, ...]:
        """Return the steps that run only after approval."""
        return tuple(step for step in self.steps if step.safety == "held")

    @property
    def hash(self) -> str:
        """Return what a person approves: it covers the database, the statements and what held steps rest on."""
        content = [
            self.identity,
            *([step.kind, step.name, step.safety, step.statements, step.basis] for step in self.steps),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:HASH_DIGITS]

    def to_json(self) -> dict[str, object]:
        """Return the plan for machines."""
        return {
            "hash": self.hash,
            "empty": self.empty,
            "unavailable": list(self.unavailable),
            "failing": list(self.failing),
            "notes": list(self.notes),
            "problems": [{"reason": problem.reason, "message": problem.message} for problem in self.problems],
            "steps": [step.to_json() for step in self.steps],
            "offer": None
            if self.offer is None
            else {"hash": self.offer.hash, "steps": [step.to_json() for step in self.offer.steps]},
        }


class HeldError(SchemaError):
    """The safe steps ran; others wait until somebody approves ``plan`` by its hash."""

    default_reason = "approval_required"

    def __init__(self, plan: Plan) -> None:
        waiting = "; ".join(f"{step.sentence} ({step.reason})" for step in plan.held)
        super().__init__(f"held until approved as {plan.hash}: {waiting}")
        self.plan = plan


class DatabaseChangedError(HeldError):
    """Another database answers than the one that was kept until now: nothing is done there unasked, data may differ."""

    default_reason = "database_changed"

    def __init__(self, plan: Plan, known: str) -> None:
        changes = "; ".join(step.sentence for step in plan.steps) or "nothing"
        text = f"this is {plan.identity}, not {known} as before: a restore, an upgrade, or a mistake"
        SchemaError.__init__(self, f"{text}; to be done there once it is accepted as {plan.hash}: {changes}")
        self.plan = plan


class DriftedError(HeldError):
    """Somebody changed what was applied, and it is to be reported, not corrected."""

    default_reason = "drifted"

    def __init__(self, plan: Plan) -> None:
        changes = "; ".join(step.sentence for step in plan.steps)
        SchemaError.__init__(self, f"the database was changed by other hands; to correct it: {changes}")
        self.plan = plan


class StaleApprovalError(HeldError):
    """Held steps were approved by a hash that is not this plan's: statements or data have changed since."""

    default_reason = "approval_stale"
