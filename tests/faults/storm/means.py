"""What of a plan this machine can do."""

from dataclasses import dataclass, replace
from pathlib import Path

from faults.storm.clocks import find_faketime
from faults.storm.disks import may_mount
from faults.storm.links import may_make_namespaces
from faults.storm.plan import NEEDS_CLOCKS, NEEDS_DISKS, NEEDS_POOLER, Plan
from ingestor.local.processes import CommandError
from support.pgbouncer import CURRENT, find_pgbouncer


@dataclass(frozen=True)
class Means:
    """The plan without what cannot be done here, what it takes for the rest, and the choices in words.

    ``faketime`` is the clocks' library, ``pgbouncer`` a command, empty where it cannot be had.
    """

    plan: Plan
    faketime: Path | None
    pgbouncer: list[str]
    choices: dict[str, str]


async def find_means(plan: Plan, cache: Path) -> Means:
    """Look for all that ``plan`` takes."""
    choices = {}
    if plan.namespaces and not may_make_namespaces():
        plan = replace(plan, namespaces=False)
    choices["network"] = "namespaces" if plan.namespaces else "loopback, cut by a proxy"
    if plan.disks and not may_mount():
        plan = replace(plan.without(NEEDS_DISKS), disks=False)
        choices["disks"] = "none of its own (that takes root and loop devices): never full"
    faketime = await find_faketime(cache) if plan.clocks else None
    if plan.clocks and faketime is None:
        plan = replace(plan.without(NEEDS_CLOCKS), clocks=False)
        choices["clocks"] = "true (there is no libfaketime): only clients' jump"
    pgbouncer = await _find_pgbouncer() if plan.pooled else []
    if not pgbouncer:
        plan = replace(plan.without(NEEDS_POOLER), pooled=0)
    choices["pooler"] = f"PgBouncer in {plan.pooler} mode before {plan.pooled} of the servers" if pgbouncer else "none"
    return Means(plan, faketime, pgbouncer, choices)


async def _find_pgbouncer() -> list[str]:
    try:
        return await find_pgbouncer(CURRENT)
    except CommandError:
        return []
