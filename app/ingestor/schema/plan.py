"""From what is asked for and what is there to the steps between them. Pure: no database, no clock."""

from ingestor.schema.catalog import Catalog
from ingestor.schema.durations import format_duration
from ingestor.schema.encoding import encoding_trouble
from ingestor.schema.identifiers import quote_identifier, quote_literal, render
from ingestor.schema.objects import MADE_BY
from ingestor.schema.ownership import record_made
from ingestor.schema.plan_columnstore import columnstore_steps
from ingestor.schema.plan_grants import grant_steps
from ingestor.schema.plan_index import index_steps
from ingestor.schema.plan_jobs import direct_steps, other_job_steps
from ingestor.schema.plan_retention import retention_steps
from ingestor.schema.plan_rollups import offered_steps, rollup_steps
from ingestor.schema.policies import FALLBACK_SCHEMA, functions_of
from ingestor.schema.problems import closed_to, find_problems
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Plan, Step
from ingestor.schema.versions import Migration, load_migrations, read_sql


def make_plan(
    spec: SchemaSpec, catalog: Catalog, roles: Roles, migrations: tuple[Migration, ...] | None = None
) -> Plan:
    """Return the ordered steps, or the problems alone where there are any.

    ``migrations`` are those of this version unless given.
    """
    known = load_migrations() if migrations is None else migrations
    server = catalog.server
    identity = f"{server.system}/{server.database}/{server.database_oid}/{spec.name}"
    problems = find_problems(spec, catalog, roles, known)
    if problems:
        return Plan(identity, (), problems)
    steps = (
        *_extension_steps(catalog, roles),
        *_schema_steps(spec, catalog, roles),
        *_migration_steps(spec, catalog, known),
        *_hypertable_steps(spec, catalog),
        *index_steps(spec, catalog),
        *_lifecycle_steps(spec, catalog, roles),
        *grant_steps(spec, catalog, roles),
    )
    offered = offered_steps(spec, catalog, roles)
    return Plan(
        identity,
        steps,
        offer=Plan(identity, tuple(offered)) if offered else None,
        unavailable=_unavailable(spec, catalog),
        failing=_failing(catalog),
        notes=_notes(catalog, roles),
    )


def _lifecycle_steps(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> tuple[Step, ...]:
    """Return the steps for ageing points: rollups before retention, so that they see what is to be dropped."""
    if not catalog.extension.community:
        return tuple(retention_steps(spec, catalog, "samples", spec.retention))
    direct, catalog = direct_steps(spec, catalog)
    return (
        *direct,
        *other_job_steps(catalog),
        *columnstore_steps(spec, catalog),
        *rollup_steps(spec, catalog, roles),
        *retention_steps(spec, catalog, "samples", spec.retention),
    )


def _failing(catalog: Catalog) -> tuple[str, ...]:
    failed = [job for job in catalog.jobs if job.failure]
    return tuple(f"the {job.title} of {job.relation} (job {job.id}) failed: {job.failure}" for job in failed)


def _notes(catalog: Catalog, roles: Roles) -> tuple[str, ...]:
    chunks = catalog.chunks_of("samples")
    earlier = sum(chunk.earlier for chunk in chunks)
    text = f"{earlier} of {len(chunks)} chunks of samples are kept by columns in another way than is asked for now"
    notes = [f"{text}, and stay so"] if earlier else []
    if roles.reader in catalog.extension.closed_to:
        notes.append(f"{closed_to(roles.reader, catalog)}; until then buckets, increase and rate fail")
    if trouble := encoding_trouble(catalog.server.database, catalog.server.encoding):
        notes.append(trouble)
    return tuple(notes)


def _unavailable(spec: SchemaSpec, catalog: Catalog) -> tuple[str, ...]:
    if catalog.extension.community or catalog.extension.version is None:
        return ()
    wanted = ["columnstore"] if spec.columnstore else []
    wanted += [f"rollup {rollup.name}" for rollup in spec.rollups]
    build = f"TimescaleDB {catalog.extension.version} here is the Apache build (timescaledb.license)"
    return tuple(f"{build}, which has no {feature.split()[0]}s: {feature} is left out" for feature in wanted)


def _extension_steps(catalog: Catalog, roles: Roles) -> list[Step]:
    if catalog.extension.version is not None:
        return []
    schema = functions_of(catalog)
    statements = [f"CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA {schema}"]
    if catalog.extension.schema == FALLBACK_SCHEMA:
        usage = f"GRANT USAGE ON SCHEMA {schema} TO {quote_identifier(roles.reader)}"
        statements = [f"CREATE SCHEMA IF NOT EXISTS {schema}", *statements, usage]
    return [Step("extension", "timescaledb", tuple(statements), "install TimescaleDB in this database")]


def _schema_steps(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> list[Step]:
    if catalog.has_bookkeeping():
        return []
    bookkeeping = render(read_sql("bookkeeping.sql"), spec.name)
    if catalog.schema_owner is not None:
        sentence = f"keep account in schema {spec.name} of what is ours"
        return [Step("schema", spec.name, (bookkeeping,), sentence)]
    create = f"CREATE SCHEMA {quote_identifier(spec.name)} AUTHORIZATION {quote_identifier(roles.owner)}"
    statements = (create, bookkeeping, record_made(spec.name, (("schema", spec.name),)))
    return [Step("schema", spec.name, statements, f"create schema {spec.name}, owned by {roles.owner}")]


def _migration_steps(spec: SchemaSpec, catalog: Catalog, known: tuple[Migration, ...]) -> list[Step]:
    applied = {migration.version for migration in catalog.migrations}
    return [_migration_step(spec.name, migration) for migration in known if migration.version not in applied]


def _migration_step(schema: str, migration: Migration) -> Step:
    made = MADE_BY.get(migration.version, ())
    values = f"{migration.version}, {quote_literal(migration.name)}, {quote_literal(migration.checksum)}"
    record = (
        f"INSERT INTO {quote_identifier(schema)}.migration (version, name, checksum, minimum)"
        f" VALUES ({values}, {migration.minimum})"
    )
    statements = (render(migration.sql, schema), *((record_made(schema, made),) if made else ()), record)
    names = ", ".join(name.partition("(")[0] for kind, name in made if kind != "index")
    sentence = f"apply migration {migration.version} ({migration.name})" + (f": {names}" if names else "")
    return Step("migration", f"{migration.version:04}_{migration.name}", statements, sentence)


def _hypertable_steps(spec: SchemaSpec, catalog: Catalog) -> list[Step]:
    functions = functions_of(catalog)
    table = quote_literal(f"{quote_identifier(spec.name)}.samples")
    wanted_s = spec.chunk_interval_s
    interval = f"INTERVAL '{wanted_s} seconds'"
    if catalog.hypertable is None:
        create = (
            f"SELECT {functions}.create_hypertable({table}, 'time',"
            f" chunk_time_interval => {interval}, create_default_indexes => false)"
        )
        sentence = f"make samples a hypertable with chunks of {spec.chunk_interval}"
        return [Step("hypertable", "samples", (create,), sentence)]
    if catalog.hypertable.interval_us == wanted_s * 1_000_000:
        return []
    change = f"SELECT {functions}.set_chunk_time_interval({table}, {interval})"
    before, after = (format_duration(value) for value in (catalog.hypertable.interval_us // 1_000_000, wanted_s))
    sentence = f"let new chunks of samples cover {after} instead of {before}"
    return [Step("chunk_interval", "samples", (change,), sentence)]
