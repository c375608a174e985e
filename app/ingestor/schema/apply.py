"""Carry a plan out: one at a time, never in anybody's way for long, and checked afterwards."""

import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import asyncpg

from ingestor.schema.catalog import Catalog
from ingestor.schema.connect import Connection, connected, place_of
from ingestor.schema.exclusive import APPLICATION, Limits, become_owner, repeat_while_locked, take_mutex
from ingestor.schema.faults import VerificationError
from ingestor.schema.plan import make_plan
from ingestor.schema.read_catalog import read_catalog
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, Plan, StaleApprovalError, Step

__all__ = ["Limits", "apply_schema", "plan_schema", "read_schema"]

logger = logging.getLogger(__name__)


async def plan_schema(owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None) -> Plan:
    """Return what ``apply_schema`` would do now, problems included; changes nothing.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user.
    """
    known_roles = roles or Roles.for_schema(spec.name)
    async with connected(owner_url, APPLICATION) as connection:
        await become_owner(connection, known_roles)
        return make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)


async def read_schema(owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None) -> Catalog:
    """Return what is there.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user.
    """
    known_roles = roles or Roles.for_schema(spec.name)
    async with connected(owner_url, APPLICATION) as connection:
        await become_owner(connection, known_roles)
        return await read_catalog(connection, spec.name, known_roles)


async def apply_schema(
    owner_url: str,
    spec: SchemaSpec,
    *,
    roles: Roles | None = None,
    approved: str | None = None,
    guard: Callable[[Plan], None] | None = None,
    limits: Limits | None = None,
) -> Plan:
    """Make the database what ``spec`` asks for and return the plan that was carried out.

    ``owner_url`` must be a direct connection: a pooler in transaction mode breaks the advisory lock. ``approved`` is
    the hash of the plan whose held steps may run as well, or of its offer; it never keeps safe steps from running.
    ``guard`` sees every plan without problems before anything is done, an empty one too, and raises what forbids it.

    Raises:
        LockBusyError: another apply, or a long transaction, was in the way for too long.
        HeldError: the safe steps are done, others wait for approval; carries the plan of those.
        SchemaTransientError: the database cannot be reached, or a statement took too long.
        SchemaError: a problem that a person must settle; nothing was changed if it was found while planning.
    """
    known_roles, known_limits = roles or Roles.for_schema(spec.name), limits or Limits()
    async with connected(owner_url, APPLICATION) as connection:
        await become_owner(connection, known_roles)
        await take_mutex(connection, spec.name, known_limits)
        plan = make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)
        if plan.problems:
            raise plan.problems[0].error()
        if guard is not None:
            guard(plan)
        accepted = plan.offer.steps if plan.offer is not None and approved == plan.offer.hash else ()
        if plan.empty and not accepted:
            return plan
        may_run_held = bool(plan.held) and approved == plan.hash
        done = (*(step for step in plan.steps if step.safety == "safe" or may_run_held), *accepted)
        for step in done:
            await _run_step(connection, step, known_limits, place_of(owner_url))
        rest = make_plan(spec, await read_catalog(connection, spec.name, known_roles), known_roles)
    _verify(rest, approved if plan.held and not accepted else None, accepted)
    return replace(plan, steps=done, offer=rest.offer)


def _verify(rest: Plan, approved: str | None, accepted: tuple[Step, ...]) -> None:
    if rest.problems:
        raise rest.problems[0].error()
    left = (
        *(step for step in rest.steps if step.safety == "safe"),
        *(rest.offer.steps if rest.offer and accepted else ()),
    )
    unfinished = [step.sentence for step in left]
    if unfinished:
        raise VerificationError("the steps ran, yet these are still open: " + "; ".join(unfinished))
    if rest.held:
        raise StaleApprovalError(rest) if approved is not None else HeldError(rest)


async def _run_step(connection: Connection, step: Step, limits: Limits, place: str) -> None:
    """Run one step, again and again while only a lock is in the way.

    Raises:
        LockBusyError: the lock was not to be had in the tries that we have.
        SchemaError: a statement failed; its step is rolled back.
    """
    started = monotonic()

    async def work() -> None:
        nonlocal started
        started = monotonic()
        await _run_once(connection, step, limits)

    def waits(attempt: int) -> None:
        logger.info("schema step waits for a lock", extra={"step": step.name, "attempt": attempt})

    await repeat_while_locked(work, limits, task=f"{place}: could not {step.sentence}", on_wait=waits)
    extra = {"kind": step.kind, "step": step.name, "seconds": round(monotonic() - started, 3)}
    logger.info("schema step applied", extra=extra)


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
