"""The bridge to ``ingestor.schema``: keep a schema as it is asked for, and say how that went."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from ingestor.errors import IngestorError, PermanentError, TransientError
from ingestor.schema.apply import apply_schema, plan_schema
from ingestor.schema.connect import try_login
from ingestor.schema.drop import drop_schema
from ingestor.schema.preflight import inspect_durability
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import DatabaseChangedError, DriftedError, HeldError, Plan, Step, StepKind
from ingestor.schema.versions import newest_version
from ingestor_operator.conditions.verdict import Verdict, camel, failed, ok, shorten, unknown
from ingestor_operator.errors import BlockedError, DatabaseError
from ingestor_operator.manifests.facts import digest
from ingestor_operator.resource.database import DriftPolicy, ManagementPolicy
from ingestor_operator.resource.status import MAX_STEP_LENGTH, MAX_STEPS

logger = logging.getLogger(__name__)

APPLICATION = "ingestor-operator"
TIMEOUT_S = 90.0
"""Of one look at a database, changes included; longer work is held for a person anyway."""
DROP_TIMEOUT_S = 600.0
"""Of a drop: each chunk is a file to delete."""

_AWAY = {
    "database_unavailable", "database_refused", "authentication_failed", "database_missing", "tls_failed",
    "direct_connection_needed",
}  # fmt: skip


_NOT_NEEDED = {"ApprovalRequired", "ApprovalStale", "Drifted"}
"""Reasons under which all safe steps, migrations among them, are done."""


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier look left in the status: the database's identity, and the digest of what was applied there."""

    database: str = ""
    applied: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A schema in a database, and who may change it."""

    owner_url: str = field(repr=False)
    roles: Roles
    spec: SchemaSpec
    policy: ManagementPolicy
    approved: str | None
    drift: DriftPolicy = "Correct"
    before: Before = field(default_factory=Before, compare=False)

    @property
    def asked(self) -> str:
        """Return a digest of what is asked for, by this version of the schema engine."""
        return digest({"spec": self.spec.model_dump(mode="json", by_alias=True), "version": newest_version()})

    def check(self, plan: Plan) -> None:
        """Refuse to act on another database than before, or on drift that is only to be reported.

        Raises:
            DatabaseChangedError: another database answers, and nobody accepted it.
            DriftedError: what was applied before was changed since.
        """
        known = self.before.database
        if known and known != plan.identity and self.approved != plan.hash:
            raise DatabaseChangedError(plan, known)
        if self.drift == "Report" and plan.steps and self.before.applied == self.asked and known == plan.identity:
            raise DriftedError(plan)


@dataclass(frozen=True, slots=True)
class SchemaVerdict:
    """The conditions of the database, how many steps were done, and the plan that is done or waits."""

    reachable: Verdict
    applied: Verdict
    steps: int = 0
    plan: Plan | None = None

    @property
    def capable(self) -> Verdict | None:
        """Return the condition DatabaseCapable, None where the database could not be asked."""
        if self.plan is None:
            return None
        if self.plan.unavailable:
            return failed("FeatureUnavailable", "; ".join(self.plan.unavailable))
        return ok("Capable", "the database has all features that are asked for")

    def status(self, target: Target) -> dict[str, Any]:
        """Return what the object's status keeps of this look: where it was, what is applied, and what waits."""
        known = {"database": target.before.database or None, "applied": target.before.applied or None}
        if self.plan is not None and self.good:
            applied = target.asked if self.applied.reason == "Applied" else None
            known = {"database": self.plan.identity, "applied": applied}
        if (waiting := self.pending) is None:
            return {**known, "pendingPlan": None}
        steps = [_line(step) for step in waiting.steps]
        return {**known, "pendingPlan": {"hash": waiting.hash, "steps": steps[:MAX_STEPS]}}

    @property
    def pending(self) -> Plan | None:
        """Return the plan that waits for somebody, or what is offered where none does."""
        if self.plan is not None and self.good:
            return self.plan.offer if self.applied.reason == "Applied" else None
        return self.plan

    @property
    def policies(self) -> Verdict | None:
        """Return the condition PoliciesHealthy, None where the database could not be asked."""
        if self.plan is None:
            return None
        if self.plan.failing:
            return failed("PolicyFailing", "; ".join(self.plan.failing))
        return ok("PoliciesRun", "no policy failed when it ran last")

    @property
    def good(self) -> bool:
        """Tell whether the schema is there as asked for."""
        return self.applied.good

    @property
    def pods_may_roll(self) -> bool:
        """Tell whether everything that pods need is there; steps that wait for approval are not among it."""
        return self.good or self.applied.reason in _NOT_NEEDED


def _line(step: Step) -> str:
    text = f"{step.safety}: {step.sentence}" + (f", which {step.reason}" if step.reason else "")
    return text[:MAX_STEP_LENGTH]


def roles_of(owner: str, writer: str, reader: str | None, schema: str) -> Roles:
    """Return the three roles of a schema.

    Raises:
        BlockedError: two of them are one, or a name can't be a role's.
    """
    try:
        return Roles(owner, writer, reader or Roles.for_schema(schema).reader)
    except ValueError as error:
        raise BlockedError("RolesInvalid", f"{error}; correct the Secrets or spec.database.readerRole") from None


async def keep_schema(target: Target) -> SchemaVerdict:
    """Make the schema what is asked for, or by its policy only say what is missing; database errors become verdicts."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if target.policy != "Apply":
                plan = await plan_schema(target.owner_url, target.spec, roles=target.roles)
                return _observe(plan) if target.policy == "Observe" else _judge(plan)
            done = await apply_schema(
                target.owner_url, target.spec, roles=target.roles, approved=target.approved, guard=target.check
            )
            return _applied(done, len(done.steps))
    except TimeoutError:
        return SchemaVerdict(
            unknown(
                "DatabaseSlow",
                f"the database took more than {TIMEOUT_S:.0f} s; it is tried again: look for load or locks there",
            ),
            unknown("DatabaseSlow", "the schema could not be looked at in time"),
        )
    except IngestorError as error:
        return explain(error)


async def check_login(url: str) -> Verdict:
    """Return whether the database takes these credentials. Never raises for the database."""
    try:
        await try_login(url, APPLICATION)
    except IngestorError as error:
        return failed(camel(_reason(error)), f"the writer's Secret: {error}; pods stay as they are")
    return _REACHABLE


async def check_durability(url: str) -> Verdict:
    """Return whether a commit survives a crash and a failover, for information; database errors become verdicts."""
    try:
        findings = await inspect_durability(url)
    except IngestorError as error:
        return unknown(camel(_reason(error)), "the database can't be asked")
    doubts = [finding.sentence for finding in findings if finding.level != "ok"]
    return failed("NotDurable", "; ".join(doubts)) if doubts else ok("Durable", findings[0].sentence)


async def drop(target: Target) -> str:
    """Drop what we own in the schema and return what was done, in words.

    Raises:
        DatabaseError: it could not be dropped now; the text says why.
    """
    try:
        async with asyncio.timeout(DROP_TIMEOUT_S):
            dropped = await drop_schema(target.owner_url, target.spec, roles=target.roles)
    except TimeoutError:
        raise DatabaseError("DatabaseSlow", f"the schema was not dropped within {DROP_TIMEOUT_S:.0f} s") from None
    except IngestorError as error:
        raise DatabaseError(camel(_reason(error)), str(error)) from error
    if dropped.empty:
        return f"schema {target.spec.name}: nothing of ours was there"
    kept = f"; kept, because it is not ours: {'; '.join(dropped.kept)}" if dropped.kept else ""
    return f"schema {target.spec.name}: dropped {len(dropped.objects)} objects{kept}"


def explain(error: IngestorError) -> SchemaVerdict:
    """Return what an error of the schema engine means for the two conditions."""
    reason = _reason(error)
    if reason in _AWAY:
        return SchemaVerdict(failed(camel(reason), str(error)), unknown(camel(reason), "the database can't be asked"))
    if not isinstance(error, HeldError):
        return SchemaVerdict(_REACHABLE, failed(camel(reason), str(error)))
    text = str(error)
    if not isinstance(error, DriftedError):
        text += f"; approve with spec.schema.approvedPlan: {error.plan.hash}"
    return SchemaVerdict(_REACHABLE, failed(camel(reason), text), plan=error.plan)


_REACHABLE = ok("Connected", "the database answers, and takes the password")


_NEEDED: frozenset[StepKind] = frozenset({"extension", "schema", "migration", "hypertable", "grants"})
"""Steps without which pods can't write."""


def _judge(plan: Plan) -> SchemaVerdict:
    if plan.problems:
        first = plan.problems[0]
        return SchemaVerdict(_REACHABLE, failed(camel(first.reason), first.message))
    if plan.empty:
        return _applied(plan, 0)
    steps = "; ".join(step.sentence for step in plan.steps)
    text = f"managementPolicy is not Apply: set it so, or run `ingestor schema apply`, for {plan.hash}: {steps}"
    return SchemaVerdict(_REACHABLE, failed("PlanPending", text), plan=plan)


def _observe(plan: Plan) -> SchemaVerdict:
    """Judge a schema that others keep: what pods need must be there, the rest is as it is."""
    if plan.problems or any(step.kind in _NEEDED for step in plan.steps):
        return _judge(plan)
    differences = "; ".join(step.sentence for step in plan.steps) or "it is as asked for"
    text = f"managementPolicy is Observe: the schema has what pods need; {differences}"
    return SchemaVerdict(_REACHABLE, ok("Observed", shorten(text)), plan=plan)


def _applied(plan: Plan, steps: int) -> SchemaVerdict:
    text = "; ".join(("the schema is as asked for", *plan.notes))
    if plan.offer is not None:
        names = ", ".join(dict.fromkeys(step.name for step in plan.offer.steps))
        text += f"; a better definition of {names} is offered: see status.schema.pendingPlan"
    return SchemaVerdict(_REACHABLE, ok("Applied", text), steps, plan)


def _reason(error: IngestorError) -> str:
    return error.reason if isinstance(error, PermanentError | TransientError) else "unknown"
