"""What an administrator, or somebody's trigger, may put in the way of points: constraints, triggers, locks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from support.database import Database, execute


async def refuse(
    database: Database, table: str, condition: str, *, state: str = "P0001", at_commit: bool = False
) -> None:
    """Let a trigger on ``table`` raise ``state`` for new rows that meet ``condition``; if asked, only at COMMIT."""
    kind, when, deferred = ("CONSTRAINT", "AFTER", "DEFERRABLE INITIALLY DEFERRED") if at_commit else ("", "BEFORE", "")
    await execute(
        database.admin_url,
        f"""
        CREATE FUNCTION analytics.refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {condition} THEN RAISE EXCEPTION 'not with me' USING ERRCODE = '{state}'; END IF;
            RETURN NEW;
        END $$
        """,
        f"GRANT EXECUTE ON FUNCTION analytics.refuse_{table} TO PUBLIC",
        f"CREATE {kind} TRIGGER refuse {when} INSERT ON analytics.{table}"
        f" {deferred} FOR EACH ROW EXECUTE FUNCTION analytics.refuse_{table}()",
    )


async def allow(database: Database, table: str) -> None:
    """Take the trigger away again."""
    await execute(database.admin_url, f"DROP TRIGGER refuse ON analytics.{table}")


async def constrain(database: Database, table: str, condition: str) -> None:
    """Add a CHECK."""
    await execute(database.admin_url, f"ALTER TABLE analytics.{table} ADD CONSTRAINT refuse CHECK ({condition})")


@asynccontextmanager
async def locked(database: Database, table: str) -> AsyncIterator[None]:
    """Hold the lock that keeps everybody from writing into ``table``, a name with its schema."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        await connection.close()


async def chunk_of(database: Database, time_sql: str) -> str:
    """Return the chunk of ``samples`` that holds ``time_sql``."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        found: str = await connection.fetchval(
            "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks"
            f" WHERE hypertable_name = 'samples' AND range_start <= {time_sql} AND range_end > {time_sql}"
        )
        return found
    finally:
        await connection.close()
