"""Read a catalog from the database, in a handful of queries and one snapshot."""

from dataclasses import replace

import asyncpg

from ingestor.schema.catalog import (
    Aggregate,
    AppliedMigration,
    Catalog,
    Chunk,
    ColumnstoreSettings,
    DatabaseObject,
    Extension,
    Grant,
    Hypertable,
    Index,
    Job,
    ObjectKey,
    Server,
)
from ingestor.schema.connect import Connection
from ingestor.schema.faults import ExtensionUnknownError
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.policies import FALLBACK_SCHEMA
from ingestor.schema.roles import Roles
from ingestor.schema.tested import tested_timescaledb
from ingestor.schema.versions import read_sql

_OTHER_FORM = (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError)


async def read_catalog(connection: Connection, schema: str, roles: Roles) -> Catalog:
    """Return what is there now.

    The connection must not be in a transaction; after an error it is in one and good for nothing but closing.
    """
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    catalog = await _read(connection, schema, roles)
    await connection.execute("COMMIT")
    return catalog


async def read_sizes(connection: Connection, schema: str, tables: list[str]) -> tuple[tuple[str, int | None, int], ...]:
    """Return name, rows and bytes of each of ``tables``, largest first; rows are an estimate, None without one."""
    rows = await connection.fetch(read_sql("catalog", "sizes.sql"), schema, tables)
    return tuple((row["name"], None if row["uncounted"] else row["rows"], row["bytes"]) for row in rows)


async def _read(connection: Connection, schema: str, roles: Roles) -> Catalog:
    role_names = [roles.owner, roles.writer, roles.reader]
    row = await connection.fetchrow(read_sql("catalog", "server.sql"), schema, role_names, roles.owner)
    if row is None:
        raise RuntimeError("a query without FROM returned no row")
    extension = Extension(
        version=row["extension_version"],
        schema=row["extension_schema"] or FALLBACK_SCHEMA,
        preloaded=row["extension_preloaded"],
        available=row["extension_available"],
        trusted=row["extension_trusted"],
        community=row["community"],
        closed_to=frozenset(row["extension_closed_to"] or ()),
    )
    server = Server(
        database=row["database"],
        database_oid=row["database_oid"],
        version=row["server_version"],
        session_user=row["session_user"],
        may_act_as_owner=row["may_act_as_owner"],
        owner_may_create=row["owner_may_create"],
        owner_may_log_in=row["owner_may_log_in"],
        system=row["system"],
        now_us=row["now_us"],
        encoding=row["encoding"],
    )
    catalog = Catalog(
        server=server,
        extension=extension,
        roles=frozenset(row["roles"] or ()),
        schema_owner=row["schema_owner"],
        objects=await _read_objects(connection, schema),
        grants=await _read_grants(connection, schema, roles),
        indexes=await _read_indexes(connection, schema),
    )
    if extension.version:
        try:
            catalog = await _read_timescale(connection, schema, catalog)
        except _OTHER_FORM as error:
            text = f"TimescaleDB {extension.version} can't be read ({error}); {tested_timescaledb()} are tested"
            raise ExtensionUnknownError(f"{text}: use one of those, or a newer release of this software") from error
    if not catalog.has_bookkeeping():
        return catalog
    made, migrations = await _read_bookkeeping(connection, schema)
    catalog = replace(catalog, made=made, migrations=migrations)
    if ("table", "retention") in made and catalog.find(("table", "retention")):
        rows = await connection.fetch(f"SELECT relation, keep_s FROM {quote_identifier(schema)}.retention")
        catalog = replace(catalog, kept_s=tuple(sorted((row["relation"], row["keep_s"]) for row in rows)))
    return catalog


async def _read_timescale(connection: Connection, schema: str, catalog: Catalog) -> Catalog:
    settings = await connection.fetchrow(read_sql("catalog", "columnstore.sql"), schema)
    jobs = await connection.fetch(read_sql("catalog", "policies.sql"), schema)
    aggregates = await connection.fetch(read_sql("catalog", "aggregates.sql"), schema)
    chunks = await connection.fetch(read_sql("catalog", "chunks.sql"), schema)
    views = {("view", row["name"]) for row in aggregates}
    return replace(
        catalog,
        hypertable=await _read_hypertable(connection, schema),
        columnstore=ColumnstoreSettings(tuple(settings["segment_by"] or ()), tuple(settings["order_by"] or ()))
        if settings
        else None,
        jobs=tuple(Job(**row) for row in jobs),
        aggregates=tuple(Aggregate(**row) for row in aggregates),
        objects=tuple(replace(item, kind="rollup") if item.key in views else item for item in catalog.objects),
        grants=frozenset(
            replace(grant, kind="rollup") if (grant.kind, grant.name) in views else grant for grant in catalog.grants
        ),
        chunks=tuple(Chunk(**row) for row in chunks),
    )


async def _read_objects(connection: Connection, schema: str) -> tuple[DatabaseObject, ...]:
    rows = await connection.fetch(read_sql("catalog", "relations.sql"), schema)
    return tuple(
        DatabaseObject(row["kind"], row["name"], row["owner"], row["comment"], tuple(row["columns"])) for row in rows
    )


async def _read_grants(connection: Connection, schema: str, roles: Roles) -> frozenset[Grant]:
    rows = await connection.fetch(read_sql("catalog", "grants.sql"), schema, [roles.writer, roles.reader])
    return frozenset(Grant(row["kind"], row["name"], row["grantee"], row["privilege"]) for row in rows)


async def _read_indexes(connection: Connection, schema: str) -> tuple[Index, ...]:
    rows = await connection.fetch(read_sql("catalog", "indexes.sql"), schema)
    return tuple(
        Index(row["name"], row["method"], tuple(row["columns"]), row["valid"], row["restricted"]) for row in rows
    )


async def _read_hypertable(connection: Connection, schema: str) -> Hypertable | None:
    row = await connection.fetchrow(read_sql("catalog", "hypertable.sql"), schema)
    if row is None:
        return None
    return Hypertable(
        row["interval_us"], tuple(row["dimensions"]), row["chunks"], row["size_bytes"], direct=row["direct"]
    )


async def _read_bookkeeping(
    connection: Connection, schema: str
) -> tuple[frozenset[ObjectKey], tuple[AppliedMigration, ...]]:
    quoted = quote_identifier(schema)
    made = await connection.fetch(f"SELECT kind, name FROM {quoted}.owner")
    applied = await connection.fetch(
        f"SELECT version, name, checksum, minimum FROM {quoted}.migration ORDER BY version"
    )
    return (
        frozenset((row["kind"], row["name"]) for row in made),
        tuple(AppliedMigration(row["version"], row["name"], row["checksum"], row["minimum"]) for row in applied),
    )
