"""Find what stands in the way of any plan: what is not ours, missing, damaged or too new. Pure."""

from collections.abc import Iterator

from ingestor.schema.catalog import AppliedMigration, Catalog, DatabaseObject, ObjectKey
from ingestor.schema.encoding import encoding_trouble
from ingestor.schema.faults import (
    ConflictError,
    DamagedError,
    EncodingError,
    ExtensionMissingError,
    MigrationChangedError,
    RightsMissingError,
    RoleMissingError,
    SchemaTooNewError,
)
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.objects import BOOKKEEPING, COLUMNS, MADE_BY
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Problem
from ingestor.schema.versions import Migration


def find_problems(
    spec: SchemaSpec, catalog: Catalog, roles: Roles, migrations: tuple[Migration, ...]
) -> tuple[Problem, ...]:
    """Return everything that must be settled by a person before any step may run."""
    return (
        *_encoding_problems(catalog),
        *_role_problems(catalog, roles),
        *_extension_problems(catalog, roles),
        *_schema_problems(spec, catalog, roles),
        *_migration_problems(catalog, migrations),
        *_object_problems(catalog, roles, migrations),
        *_samples_problems(catalog),
        *_lifecycle_problems(spec, catalog, roles),
    )


def _encoding_problems(catalog: Catalog) -> Iterator[Problem]:
    trouble = encoding_trouble(catalog.server.database, catalog.server.encoding)
    if trouble and not catalog.has_bookkeeping():  # one that works already goes on
        yield Problem(EncodingError, trouble)


def _role_problems(catalog: Catalog, roles: Roles) -> Iterator[Problem]:
    missing = [name for name in (roles.owner, roles.writer, roles.reader) if name not in catalog.roles]
    if missing:
        names = ", ".join(missing)
        yield Problem(RoleMissingError, f"no role {names}; a superuser makes them with `ingestor schema bootstrap`")
    elif not catalog.server.may_act_as_owner:
        user = catalog.server.session_user
        yield Problem(
            RoleMissingError, f"connected as {user}, which is not a member of {roles.owner}; connect as {roles.owner}"
        )


def _extension_problems(catalog: Catalog, roles: Roles) -> Iterator[Problem]:
    extension, database = catalog.extension, catalog.server.database
    if extension.version is not None:
        if roles.owner in extension.closed_to:
            yield Problem(RightsMissingError, closed_to(roles.owner, catalog))
        return
    if not extension.available:
        text = "TimescaleDB is not installed on the server; install its package, preload it, then run this again"
        yield Problem(ExtensionMissingError, text)
    elif not extension.preloaded:
        text = "TimescaleDB is not preloaded; set shared_preload_libraries = 'timescaledb' and restart PostgreSQL"
        yield Problem(ExtensionMissingError, text)
    elif not (extension.trusted and catalog.server.owner_may_create):
        text = f"database {database} has no TimescaleDB and {roles.owner} may not add it; a superuser runs"
        yield Problem(ExtensionMissingError, f"{text}: CREATE EXTENSION timescaledb (or `ingestor schema bootstrap`)")


def closed_to(role: str, catalog: Catalog) -> str:
    """Return that a role may not use the schema of TimescaleDB, and what to run."""
    schema = quote_identifier(catalog.extension.schema)
    text = f"{role} may not use schema {schema}, which has TimescaleDB's functions; a superuser runs"
    return f"{text}: GRANT USAGE ON SCHEMA {schema} TO {quote_identifier(role)} (or `ingestor schema bootstrap`)"


def _schema_problems(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> Iterator[Problem]:
    owner = catalog.schema_owner
    if owner is None:
        if not catalog.server.owner_may_create and roles.owner in catalog.roles:
            database = catalog.server.database
            text = f"{roles.owner} may not create a schema in {database}; run `ingestor schema bootstrap`"
            yield Problem(RightsMissingError, text)
    elif owner != roles.owner:
        text = f"schema {spec.name} belongs to {owner}, not to {roles.owner}; choose another name or give it away"
        yield Problem(ConflictError, text)


def _migration_problems(catalog: Catalog, migrations: tuple[Migration, ...]) -> Iterator[Problem]:
    known = {migration.version: migration for migration in migrations}
    newest = max(known)
    for applied in catalog.migrations:
        yield from _compare(applied, known.get(applied.version), newest)


def _compare(applied: AppliedMigration, known: Migration | None, newest: int) -> Iterator[Problem]:
    if known is None and applied.minimum > newest:
        text = f"the database has migration {applied.version}, which needs a version that knows {applied.minimum}"
        yield Problem(SchemaTooNewError, f"{text}; this one knows {newest}: upgrade it")
    elif known is not None and known.checksum != applied.checksum:
        text = f"migration {applied.version} ({applied.name}) was applied with other content than this version has"
        yield Problem(MigrationChangedError, f"{text}; use the release that made this database, or a newer one")


def _object_problems(catalog: Catalog, roles: Roles, migrations: tuple[Migration, ...]) -> Iterator[Problem]:
    applied = {migration.version for migration in catalog.migrations}
    marked = catalog.has_bookkeeping()
    for key in BOOKKEEPING:
        found = _find_by_name(catalog, key)
        if found is not None and not (marked and found.owner == roles.owner):
            yield _conflict(found)
    for migration in migrations:
        for key in MADE_BY.get(migration.version, ()):
            found = _find_by_name(catalog, key)
            if found is not None and not (key in catalog.made and found.key == key and found.owner == roles.owner):
                yield _conflict(found)
            elif found is None and migration.version in applied:
                text = f"{key[0]} {key[1]} is gone, though migration {migration.version} made it; restore it"
                yield Problem(DamagedError, text)


def _samples_problems(catalog: Catalog) -> Iterator[Problem]:
    for table, wanted in COLUMNS.items():
        found = catalog.find(("table", table))
        if found is None or found.key not in catalog.made:
            continue
        lost = [column for column in wanted if column not in found.columns]
        if lost:
            yield Problem(DamagedError, f"table {table} has lost its column {', '.join(lost)}; restore it")
    hypertable = catalog.hypertable
    if hypertable is not None and hypertable.dimensions[0] != "time":
        yield Problem(DamagedError, f"samples is cut by {hypertable.dimensions[0]}, not by time; restore it")


def _lifecycle_problems(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> Iterator[Problem]:
    if not catalog.extension.community:
        return
    for rollup in spec.rollups:
        found = _find_by_name(catalog, ("rollup", rollup.name))
        if found is not None and not (found.key in catalog.made and found.owner == roles.owner):
            yield _conflict(found)
    asks_for_jobs = spec.columnstore or spec.retention or spec.rollups
    if asks_for_jobs and roles.owner in catalog.roles and not catalog.server.owner_may_log_in:
        text = f"TimescaleDB runs policies as {roles.owner}, which may not log in"
        yield Problem(RightsMissingError, f"{text}; a superuser runs: ALTER ROLE {roles.owner} LOGIN")


def _find_by_name(catalog: Catalog, key: ObjectKey) -> DatabaseObject | None:
    """Return what holds the name: tables, views and indexes share theirs, functions have their own."""
    is_function = key[0] == "function"
    return next(
        (item for item in catalog.objects if item.name == key[1] and (item.kind == "function") == is_function), None
    )


def _conflict(found: DatabaseObject) -> Problem:
    kind = "object" if found.kind == "other" else found.kind
    text = f"{kind} {found.name} (of {found.owner}) was not made by us and is left alone"
    return Problem(ConflictError, f"{text}; rename it, or choose another schema")
