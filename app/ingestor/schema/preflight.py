"""Look at a database as the service will, and say in plain words what is in its way."""

import time

from ingestor.schema.catalog import Job
from ingestor.schema.connect import Connection, connected
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.objects import WRITER_RIGHTS
from ingestor.schema.preflight_server import Finding, judge_durability, judge_policies, judge_server
from ingestor.schema.preflight_session import judge_session
from ingestor.schema.versions import REQUIRED_VERSION, newest_version, read_sql

__all__ = ["Finding", "inspect", "inspect_durability"]

APPLICATION = "ingestor-check"


async def inspect(connection: Connection, schema: str, connections: int) -> list[Finding]:
    """Return what is well, doubtful and wrong for a pod with so many connections that writes to ``schema``.

    ``connection`` is in a transaction as a pod begins one.
    """
    session = await connection.fetchrow(read_sql("preflight", "session.sql"))
    return [
        *await _server(connection),
        *judge_session(dict(session or {}), connections),
        *await _schema(connection, schema),
        *await _policies(connection, schema),
    ]


async def inspect_durability(url: str) -> list[Finding]:
    """Return what a crash or a failover of the database at ``url`` may cost.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user.
    """
    async with connected(url, APPLICATION) as connection:
        return list(judge_durability(dict(await connection.fetchrow(read_sql("preflight", "server.sql")) or {})))


async def _server(connection: Connection) -> list[Finding]:
    asked_s = time.time()
    row = await connection.fetchrow(read_sql("preflight", "server.sql"))
    answered_s = time.time()
    if row is None:
        raise RuntimeError("a query without FROM returned no row")
    return list(judge_server(dict(row), row["clock_s"] - (asked_s + answered_s) / 2))


async def _policies(connection: Connection, schema: str) -> list[Finding]:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"):
        return []
    rows = await connection.fetch(read_sql("catalog", "policies.sql"), schema)
    return list(judge_policies([Job(**row) for row in rows]))


async def _schema(connection: Connection, schema: str) -> list[Finding]:
    row = await connection.fetchrow(read_sql("preflight", "schema.sql"), schema)
    if row is None:
        text = f"schema {schema} does not exist; run `ingestor schema apply`"
        return [Finding("problem", "schema", text)]
    if not row["may_use"]:
        text = f"this role may not use schema {schema}; run `ingestor schema apply`, or connect as its writer"
        return [Finding("problem", "rights", text)]
    findings = [await _version(connection, schema, row["may_read_version"])]
    if row["may_create"]:
        text = f"this role may also change schema {schema}; give pods the writer role"
        findings.append(Finding("warning", "rights", text))
    return [*findings, await _rights(connection, schema)]


async def _version(connection: Connection, schema: str, may_read: bool | None) -> Finding:
    if may_read is None:
        return Finding("problem", "schema", f"schema {schema} holds no tables of ours; run `ingestor schema apply`")
    if not may_read:
        return Finding("problem", "schema", "this role may not read the schema's version; run `ingestor schema apply`")
    rows = await connection.fetch(f"SELECT version, minimum FROM {quote_identifier(schema)}.migration")
    applied = max((row["version"] for row in rows), default=0)
    newest = newest_version()
    minimum = max((row["minimum"] for row in rows if row["version"] > newest), default=0)
    if applied < REQUIRED_VERSION:
        text = f"schema {schema} is at version {applied}, {REQUIRED_VERSION} is needed; run `ingestor schema apply`"
        return Finding("problem", "schema", text)
    if minimum > newest:
        text = f"schema {schema} is at version {applied}, too new for this release, which knows {newest}; upgrade it"
        return Finding("problem", "schema", text)
    return Finding("ok", "schema", f"schema {schema} is at version {applied}, {REQUIRED_VERSION} is needed")


async def _rights(connection: Connection, schema: str) -> Finding:
    wanted = [(kind, name, privilege) for (kind, name), rights in WRITER_RIGHTS.items() for privilege in rights]
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await connection.fetch(read_sql("preflight", "rights.sql"), schema, *columns)
    if rows:
        names = ", ".join(f"{row['privilege']} on {row['name']}" for row in rows)
        text = f"this role lacks {names}; connect as the writer, or repair it with `ingestor schema apply`"
        return Finding("problem", "rights", text)
    return Finding("ok", "rights", "this role has every right that a pod needs")
