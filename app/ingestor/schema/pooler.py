"""Connection poolers between us and PostgreSQL, such as PgBouncer: are we behind one, and what does it let us do.

A pooler has the login and may give each transaction another session, so nothing of a session can be relied on.
"""

import asyncpg

_PROBE = "ingestor_probe"


async def is_pooled(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return True if a pooler is in between: then the process that greeted us is not the one that answers."""
    # The tag counts the rows. A query with an answer would be a prepared statement, which a pooler may lose.
    answer = await connection.execute(f"SELECT WHERE pg_backend_pid() = {connection.get_server_pid()}")
    return answer != "SELECT 1"


async def tracks_statements(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return True if the pooler gives prepared statements names of its own, and so finds them in every session.

    PgBouncer does from 1.21 on with ``max_prepared_statements`` above 0, the default from 1.24 on, in transaction mode.
    Otherwise two servers may use one name for two statements, unless the session is ours.
    """
    await connection.execute("BEGIN")
    await connection.prepare("SELECT 1", name=_PROBE)
    answer = await connection.execute(f"SELECT FROM pg_prepared_statements WHERE name = '{_PROBE}'")
    if answer == "SELECT 1":
        await connection.execute(f"DEALLOCATE {_PROBE}")
    await connection.execute("COMMIT")
    return answer != "SELECT 1"
