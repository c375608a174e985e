"""What faults do that stem from rules and locks of others in the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from faults.storm.database import DOWN
from faults.storm.marks import Mark
from faults.storm.plan import Kind
from faults.storm.schedule import Strike
from faults.storm.site import Site

MARKS = {
    Kind.SAMPLES_CHECK: Mark.CHECKED,
    Kind.SAMPLES_TRIGGER: Mark.RAISED,
    Kind.SERIES_RULE: Mark.BLOCKED,
    Kind.REJECTS_TRIGGER: Mark.UNKEPT,
}
_POLL_S = 0.05
_LOCK_TIMEOUT_MS = 200
_CHUNK = """
SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
 WHERE hypertable_schema = 'analytics' AND hypertable_name = 'samples' AND range_start <= $1 AND $1 < range_end
"""


async def keep_rule(site: Site, strike: Strike) -> int:
    """Add a rule and remove it again."""
    mark = MARKS[strike.kind]
    async with site.rules.lock(mark):
        await site.rules.add(mark, int(strike.amount))
        try:
            await asyncio.sleep(strike.length_s)
        finally:
            await site.rules.remove(mark)
    return 1


async def keep_chunk(site: Site, strike: Strike) -> int:
    """Lock the chunk of late points."""
    async with lock_chunk(site):
        await asyncio.sleep(strike.length_s)
    return 1


async def kill_pooler(site: Site, strike: Strike) -> int:
    """Kill PgBouncer and start it again."""
    assert strike.target is not None
    pooler = site.poolers[strike.target]
    async with pooler.lock:
        await pooler.kill()
        await asyncio.sleep(strike.length_s)
        await pooler.start()
    return 1


@asynccontextmanager
async def lock_chunk(site: Site) -> AsyncIterator[None]:
    """Hold the lock that a conversion of the chunk of late points takes, once somebody has written into it."""
    while (connection := await _locked(site)) is None:
        await asyncio.sleep(_POLL_S)
    try:
        yield
    finally:
        connection.terminate()  # and its lock with it


async def _locked(site: Site) -> asyncpg.Connection | None:
    """Return a connection that holds the lock, None where there is no such chunk yet or it is not to be had."""
    with suppress(*DOWN, asyncpg.LockNotAvailableError):
        connection = await site.database.connect()
        try:
            if (chunk := await connection.fetchval(_CHUNK, site.late_at)) is not None:
                await connection.execute(f"BEGIN; SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                await connection.execute(f"LOCK TABLE {chunk} IN ACCESS EXCLUSIVE MODE")
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
    return None
