"""Carry a plan out: one at a time, never in anybody's way for long, and checked afterwards.

A DDL statement that waits for a lock stalls every COPY behind it, so each attempt waits only briefly and is repeated.
"""

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from time import monotonic

import asyncpg

from ingestor.schema.catalog import Catalog
from ingestor.schema.connect import Connection, connected, explain, place_of
from ingestor.schema.faults import LockBusyError, VerificationError
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.plan import make_plan
from ingestor.schema.read_catalog import read_catalog
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, Plan, StaleApprovalError, Step

logger = logging.getLogger(__name__)

APPLICATION = "ingestor-schema"
LOCK_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an apply may wait.

    ``mutex_s``: for another apply to end; ``lock_ms``: of one attempt, for the locks of a table, which is how long
    writers may stall; ``long_lock_ms``: the same in approved steps, which lock one chunk at a time; ``attempts`` and
    ``pause_s``: tries of a step and the first pause between them, which doubles up to ``pause_cap_s``;
    ``statement_s`` and ``long_statement_s``: of one statement in safe and in approved steps.

    Source: lock_ms measured: COPY stalls for the whole lock_timeout of a waiting CREATE INDEX or ADD COLUMN.
    """

    mutex_s: float = 30.0
    lock_ms: int = 150
    long_lock_ms: int = 5_000
    attempts: int = 12
    pause_s: float = 0.1
    pause_cap_s: float = 3.0
    statement_s: float = 25.0
    long_statement_s: float = 6 * 3_600.0


async def plan_schema(owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None) -> Plan:
    """Return what ``apply_schema`` would do now, problems included; changes nothing.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user.
    """
    known_roles = roles or Roles.for_schema(spec.name)
    async with connected(owner_url, APPLICATION) as connection:
        await _become_owner(connection, known_roles)
        return make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)


async def read_schema(owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None) -> Catalog:
    """Return what is there.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user.
    """
    known_roles = roles or Roles.for_schema(spec.name)
    async with connected(owner_url, APPLICATION) as connection:
        await _become_owner(connection, known_roles)
        return await read_catalog(connection, spec.name, known_roles)


async def apply_schema(
    owner_url: str,
    spec: SchemaSpec,
    *,
    roles: Roles | None = None,
    approved: str | None = None,
    limits: Limits | None = None,
) -> Plan:
    """Make the database what ``spec`` asks for and return the plan that was carried out.

    ``owner_url`` must be a direct connection: a pooler in transaction mode breaks the advisory lock. ``approved`` is
    the hash of the plan whose held steps may run as well; it never keeps safe steps from running.

    Raises:
        LockBusyError: another apply, or a long transaction, was in the way for too long.
        HeldError: the safe steps are done, others wait for approval; carries the plan of those.
        SchemaTransientError: the database cannot be reached, or a statement took too long.
        SchemaError: a problem that a person must settle; nothing was changed if it was found while planning.
    """
    known_roles, known_limits = roles or Roles.for_schema(spec.name), limits or Limits()
    async with connected(owner_url, APPLICATION) as connection:
        await _become_owner(connection, known_roles)
        await _take_mutex(connection, spec.name, known_limits)
        plan = make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)
        if plan.problems:
            raise plan.problems[0].error()
        may_run_held = bool(plan.held) and approved == plan.hash
        done = tuple(step for step in plan.steps if step.safety == "safe" or may_run_held)
        for step in done:
            await _run_step(connection, step, known_limits, place_of(owner_url))
        rest = make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)
    _verify(rest, approved if plan.held else None)
    return replace(plan, steps=done)


def _verify(rest: Plan, approved: str | None) -> None:
    if rest.problems:
        raise rest.problems[0].error()
    unfinished = [step.sentence for step in rest.steps if step.safety == "safe"]
    if unfinished:
        raise VerificationError("the steps ran, yet these are still open: " + "; ".join(unfinished))
    if rest.held:
        raise StaleApprovalError(rest) if approved is not None else HeldError(rest)


async def _become_owner(connection: Connection, roles: Roles) -> None:
    """Act as the owner role, so that what a superuser applies belongs to the same role as ever."""
    statement = "SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(session_user, oid, 'MEMBER')"
    if await connection.fetchrow(statement, roles.owner) is not None:
        await connection.execute(f"SET ROLE {quote_identifier(roles.owner)}")


async def _take_mutex(connection: Connection, schema: str, limits: Limits) -> None:
    """Take the advisory lock of this schema; it ends with the connection."""
    digest = hashlib.blake2b(f"analytics-ingestor/schema/{schema}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "big", signed=True)
    deadline = monotonic() + limits.mutex_s
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        if monotonic() >= deadline:
            raise LockBusyError(f"schema {schema} is being changed by somebody else; try again later", retry_after_s=5)
        await asyncio.sleep(LOCK_POLL_S)


async def _run_step(connection: Connection, step: Step, limits: Limits, place: str) -> None:
    """Run one step, again and again while only a lock is in the way.

    Raises:
        LockBusyError: the lock was not to be had in the tries that we have.
        SchemaError: a statement failed; its step is rolled back.
    """
    for attempt in range(1, limits.attempts + 1):
        started = monotonic()
        try:
            await _run_once(connection, step, limits)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
            if attempt == limits.attempts:
                text = f"{place}: could not {step.sentence}: a long transaction holds a lock ({attempt} tries)"
                raise LockBusyError(f"{text}; try again when it has ended", retry_after_s=30) from error
            logger.info("schema step waits for a lock", extra={"step": step.name, "attempt": attempt})
            await asyncio.sleep(min(limits.pause_cap_s, limits.pause_s * 2.0 ** (attempt - 1)))
        except asyncpg.PostgresError as error:
            raise explain(error, f"{place}: could not {step.sentence}") from error
        else:
            extra = {"kind": step.kind, "step": step.name, "seconds": round(monotonic() - started, 3)}
            logger.info("schema step applied", extra=extra)
            return


async def _run_once(connection: Connection, step: Step, limits: Limits) -> None:
    lock_ms = limits.lock_ms if step.transactional else limits.long_lock_ms
    statement_s = limits.statement_s if step.transactional else limits.long_statement_s
    await connection.execute(f"SET lock_timeout = {lock_ms}; SET statement_timeout = {int(statement_s * 1000)}")
    if not step.transactional:
        for statement in step.statements:
            await connection.execute(statement, timeout=statement_s + 5)
        return
    await connection.execute("BEGIN")
    try:
        for statement in step.statements:
            await connection.execute(statement, timeout=statement_s + 5)
        await connection.execute("COMMIT")
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK")
        raise
