"""The bridge to ``ingestor.schema``: keep a schema as it is asked for, and say how that went."""

import asyncio
import logging
from dataclasses import dataclass, field

from ingestor.errors import IngestorError, PermanentError, TransientError
from ingestor.schema.apply import apply_schema, plan_schema
from ingestor.schema.connect import connected
from ingestor.schema.drop import drop_schema
from ingestor.schema.preflight import inspect_durability
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, Plan
from ingestor_operator.conditions.verdict import Verdict, camel, failed, ok, unknown
from ingestor_operator.errors import BlockedError, DatabaseError
from ingestor_operator.resource.database import ManagementPolicy

logger = logging.getLogger(__name__)

APPLICATION = "ingestor-operator"
TIMEOUT_S = 90.0
"""Of one look at a database, changes included; longer work is held for a person anyway."""
DROP_TIMEOUT_S = 600.0
"""Of a drop: each chunk is a file to delete."""

_AWAY = {
    "database_unavailable", "database_refused", "authentication_failed", "database_missing", "tls_failed",
}  # fmt: skip


_NOT_NEEDED = {"ApprovalRequired", "ApprovalStale"}
"""Reasons under which all safe steps, migrations among them, are done."""


@dataclass(frozen=True, slots=True)
class Target:
    """A schema in a database, and who may change it."""

    owner_url: str = field(repr=False)
    roles: Roles
    spec: SchemaSpec
    policy: ManagementPolicy
    approved: str | None


@dataclass(frozen=True, slots=True)
class SchemaVerdict:
    """The conditions DatabaseReachable and SchemaApplied, and how many steps were done."""

    reachable: Verdict
    applied: Verdict
    steps: int = 0

    @property
    def good(self) -> bool:
        """Tell whether the schema is there as asked for."""
        return self.applied.good

    @property
    def pods_may_roll(self) -> bool:
        """Tell whether everything that pods need is there; steps that wait for approval are not among it."""
        return self.good or self.applied.reason in _NOT_NEEDED


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
    """Make the schema what is asked for, or with policy Plan say what is missing; database errors become verdicts."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if target.policy == "Plan":
                return _judge(await plan_schema(target.owner_url, target.spec, roles=target.roles))
            done = await apply_schema(target.owner_url, target.spec, roles=target.roles, approved=target.approved)
            return _applied(len(done.steps))
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
        async with connected(url, APPLICATION) as connection:
            await connection.execute("SELECT 1")
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
    text = str(error)
    if isinstance(error, HeldError):
        text += f"; approve with spec.schema.approvedPlan: {error.plan.hash}"
    return SchemaVerdict(_REACHABLE, failed(camel(reason), text))


_REACHABLE = ok("Connected", "the database answers, and takes the password")


def _judge(plan: Plan) -> SchemaVerdict:
    if plan.problems:
        first = plan.problems[0]
        return SchemaVerdict(_REACHABLE, failed(camel(first.reason), first.message))
    if plan.empty:
        return _applied(0)
    steps = "; ".join(step.sentence for step in plan.steps)
    text = f"managementPolicy is Plan: set it to Apply, or run `ingestor schema apply`, for {plan.hash}: {steps}"
    return SchemaVerdict(_REACHABLE, failed("PlanPending", text))


def _applied(steps: int) -> SchemaVerdict:
    return SchemaVerdict(_REACHABLE, ok("Applied", "the schema is as asked for"), steps)


def _reason(error: IngestorError) -> str:
    return error.reason if isinstance(error, PermanentError | TransientError) else "unknown"
