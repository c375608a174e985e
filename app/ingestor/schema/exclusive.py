"""What everything that changes a schema shares: one at a time, as the owner, and patient with locks for a while.

A DDL statement that waits for a lock stalls every COPY behind it, so each attempt waits only briefly and is repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import asyncpg

from ingestor.schema.advisory import advisory_key
from ingestor.schema.connect import Connection, explain
from ingestor.schema.faults import LockBusyError
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.roles import Roles

APPLICATION = "ingestor-schema"
LOCK_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a change may wait.

    ``mutex_s``: for another change to end; ``lock_ms``: of one attempt, for the locks of a table, which is how long
    writers may stall; ``long_lock_ms``: the same in approved steps, which lock one chunk at a time, and in a drop;
    ``attempts`` and ``pause_s``: tries of a step and the first pause between them, which doubles up to
    ``pause_cap_s``; ``watch_s``: for a sign of a server behind a pooler before a drop, longer than the 5 s for which an
    idle one gives none; ``statement_s`` and ``long_statement_s``: of one statement in safe and in approved steps.

    Source: lock_ms measured: COPY stalls for the whole lock_timeout of a waiting CREATE INDEX or ADD COLUMN.
    """

    mutex_s: float = 30.0
    lock_ms: int = 150
    long_lock_ms: int = 5_000
    attempts: int = 12
    pause_s: float = 0.1
    pause_cap_s: float = 3.0
    watch_s: float = 12.0
    statement_s: float = 25.0
    long_statement_s: float = 6 * 3_600.0


async def become_owner(connection: Connection, roles: Roles) -> None:
    """Act as the owner role, so that what a superuser applies belongs to the same role as ever."""
    statement = "SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(session_user, oid, 'MEMBER')"
    if await connection.fetchrow(statement, roles.owner) is not None:
        await connection.execute(f"SET ROLE {quote_identifier(roles.owner)}")


async def take_mutex(connection: Connection, schema: str, limits: Limits) -> None:
    """Take the advisory lock of this schema; it ends with the connection.

    Raises:
        LockBusyError: somebody else had it for too long.
    """
    key = advisory_key("schema", schema)
    deadline = monotonic() + limits.mutex_s
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        if monotonic() >= deadline:
            raise LockBusyError(f"schema {schema} is being changed by somebody else; try again later", retry_after_s=5)
        await asyncio.sleep(LOCK_POLL_S)


async def repeat_while_locked(
    work: Callable[[], Awaitable[None]], limits: Limits, *, task: str, on_wait: Callable[[int], None]
) -> None:
    """Run ``work``, again and again while only a lock is in its way; each run leaves nothing behind if it fails.

    ``task`` says where and what, for the errors; ``on_wait`` gets the number of each attempt that met a lock.

    Raises:
        LockBusyError: the lock was not to be had in the tries that we have.
        SchemaError: a statement failed.
        SchemaTransientError: the database went away, or a statement took too long.
    """
    for attempt in range(1, limits.attempts + 1):
        try:
            await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
            if attempt == limits.attempts:
                text = f"{task}: a long transaction holds a lock ({attempt} tries)"
                raise LockBusyError(f"{text}; try again when it has ended", retry_after_s=30) from error
            on_wait(attempt)
            await asyncio.sleep(min(limits.pause_cap_s, limits.pause_s * 2.0 ** (attempt - 1)))
        except asyncpg.PostgresError as error:
            raise explain(error, task) from error
        else:
            return
