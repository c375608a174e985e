"""Who writes to a schema now: servers show themselves, and a drop looks for them.

A server with sessions of its own is seen by their name. One behind a pooler has none between two transactions, so each
of its transactions takes a shared lock; a drop takes the lock for itself for a while and sees who waits for it.
"""

import asyncio
from time import monotonic

import asyncpg

from ingestor.schema.advisory import advisory_key
from ingestor.schema.connect import Connection, writer_application
from ingestor.schema.faults import SchemaInUseError
from ingestor.schema.identifiers import quote_relation

_POLL_S = 0.05
_NAMED = """
SELECT count(*), coalesce(string_agg(DISTINCT client_addr::text, ', '), 'this machine') FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1
"""
_WAITING = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = $1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_RECENT = "SELECT EXISTS (SELECT FROM {} WHERE at > now() - interval '3 minutes')"


def show_writer(schema: str) -> str:
    """Return the statement by which a transaction shows that its server writes to ``schema``."""
    return f"SELECT pg_advisory_xact_lock_shared({advisory_key('writers', schema)})"


async def refuse_writers(connection: Connection, schema: str, watch_s: float) -> None:
    """Return if nobody writes to ``schema``; the lock that keeps new writers waiting ends with the connection.

    ``watch_s`` must be longer than an idle server is silent. Nobody is waited for if no server has noted lately, as
    each does once a minute, that the database is up.

    Raises:
        SchemaInUseError: servers write to it.
    """
    count, places = await connection.fetchrow(_NAMED, writer_application(schema)) or (0, "")
    if count:
        text = f"{count} connections of servers that write to schema {schema} are open, from {places}"
        raise SchemaInUseError(f"{text}; stop those servers first")
    key = advisory_key("writers", schema)
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        raise _in_use(schema)
    deadline = monotonic() + watch_s
    try:
        if not await connection.fetchval(_RECENT.format(quote_relation(schema, "ledger_beat"))):
            return
    except asyncpg.UndefinedTableError:
        return
    while monotonic() < deadline:
        if await connection.fetchval(_WAITING, key):
            raise _in_use(schema)
        await asyncio.sleep(_POLL_S)


def _in_use(schema: str) -> SchemaInUseError:
    text = f"servers write to schema {schema} through a connection pooler"
    return SchemaInUseError(f"{text}; stop those servers first")
