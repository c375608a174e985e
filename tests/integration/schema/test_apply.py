"""Applying a spec to a real TimescaleDB."""

import asyncio

import pytest

from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.bootstrap import bootstrap
from ingestor.schema.connect import Connection
from ingestor.schema.faults import (
    ConflictError,
    DamagedError,
    ExtensionMissingError,
    MigrationChangedError,
    RightsMissingError,
    RoleMissingError,
    SchemaError,
    SchemaTooNewError,
)
from ingestor.schema.objects import BOOKKEEPING, MADE_BY, wanted_grants
from ingestor.schema.plan_index import INDEXES
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.versions import load_migrations

from .conftest import PASSWORD, Site


async def test_an_apply_makes_everything_and_a_second_one_nothing(ready: Site) -> None:
    first = await apply_schema(ready.owner_url, ready.spec)
    second = await apply_schema(ready.owner_url, ready.spec)
    kinds = [step.kind for step in first.steps]
    assert kinds == ["schema", *["migration"] * len(load_migrations()), "hypertable", "index", "grants"]
    assert second.empty


async def test_a_plan_changes_nothing(ready: Site) -> None:
    before = await plan_schema(ready.owner_url, ready.spec)
    after = await plan_schema(ready.owner_url, ready.spec)
    assert before.steps
    assert before.hash == after.hash


async def test_what_is_made_is_what_the_plan_says_is_made(site: Site) -> None:
    catalog = await read_schema(site.owner_url, site.spec)
    expected = {*BOOKKEEPING, *(key for keys in MADE_BY.values() for key in keys), ("index", "samples_series_time")}
    found = {item.key for item in catalog.objects if not item.name.endswith("_pkey")}
    assert found == expected
    assert catalog.made == expected - set(BOOKKEEPING) | {("schema", site.spec.name)}
    assert catalog.grants == wanted_grants(site.spec.name, site.roles)
    assert catalog.indexes == (INDEXES["SeriesTime"],)


@pytest.mark.parametrize(
    "spec", [SchemaSpec(), SchemaSpec(index="TimeBrin", chunk_interval="12h"), SchemaSpec(chunk_interval="90s")]
)
async def test_any_spec_follows_any_other_in_place(site: Site, spec: SchemaSpec) -> None:
    wanted = spec.model_copy(update={"name": site.spec.name})
    for target in (wanted, site.spec, wanted):
        await apply_schema(site.owner_url, target)
        catalog = await read_schema(site.owner_url, target)
        assert catalog.indexes == (INDEXES[target.index],)
        assert catalog.hypertable
        assert catalog.hypertable.interval_us == target.chunk_interval_s * 1_000_000
        assert (await plan_schema(site.owner_url, target)).empty


async def test_a_changed_chunk_interval_keeps_the_rows_and_the_old_chunks(site: Site, owner: Connection) -> None:
    await owner.execute("INSERT INTO samples VALUES ('2024-01-01', 1, 1)")
    plan = await apply_schema(site.owner_url, site.spec.model_copy(update={"chunk_interval": "2h"}))
    await owner.execute("INSERT INTO samples VALUES ('2024-03-01', 1, 2)")
    lengths = await owner.fetch(
        "SELECT extract(epoch FROM range_end - range_start)::int AS s"
        " FROM timescaledb_information.chunks ORDER BY 1 DESC"
    )
    assert [step.kind for step in plan.steps] == ["chunk_interval"]
    assert [row["s"] for row in lengths] == [86_400, 7_200]


async def test_two_applies_at_once_run_each_step_once(ready: Site) -> None:
    plans = await asyncio.gather(*(apply_schema(ready.owner_url, ready.spec) for _ in range(3)))
    assert sorted(len(plan.steps) for plan in plans) == [0, 0, len(load_migrations()) + 4]


async def test_the_owner_adds_the_trusted_extension_itself(blank: Site) -> None:
    admin = await blank.connect(blank.admin_url)
    for role in (blank.roles.owner, blank.roles.writer, blank.roles.reader):
        quoted = PASSWORD.replace("'", "''")
        await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{quoted}'")
    await admin.execute(f"GRANT CREATE ON DATABASE {blank.spec.name} TO {blank.roles.owner}")
    await admin.close(timeout=5)
    plan = await apply_schema(blank.owner_url, blank.spec)
    assert plan.steps[0].kind == "extension"


async def test_an_owner_who_may_not_add_the_extension_is_told_what_to_run(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    await admin.execute("DROP EXTENSION timescaledb")
    await admin.execute(f"REVOKE CREATE ON DATABASE {ready.spec.name} FROM {ready.roles.owner}")
    await admin.close(timeout=5)
    with pytest.raises(ExtensionMissingError, match="CREATE EXTENSION timescaledb"):
        await apply_schema(ready.owner_url, ready.spec)


async def test_missing_roles_are_named_together_with_the_command_that_makes_them(blank: Site) -> None:
    with pytest.raises(RoleMissingError, match=rf"{blank.spec.name}_writer.*ingestor schema bootstrap"):
        await apply_schema(blank.admin_url, blank.spec)


async def test_a_role_that_is_not_the_owner_is_refused(site: Site) -> None:
    with pytest.raises((RoleMissingError, RightsMissingError), match="owner"):
        await apply_schema(site.writer_url, site.spec)


async def test_what_a_superuser_applies_belongs_to_the_owner_role(ready: Site) -> None:
    await apply_schema(ready.admin_url, ready.spec)
    catalog = await read_schema(ready.owner_url, ready.spec)
    assert {item.owner for item in catalog.objects} == {ready.roles.owner}
    assert catalog.schema_owner == ready.roles.owner


async def test_schemas_of_different_owners_share_a_database(site: Site, admin: Connection) -> None:
    other = SchemaSpec(name=f"{site.spec.name}_b")
    roles = Roles.for_schema(other.name)
    await bootstrap(site.admin_url, roles, other.name)
    try:
        await apply_schema(site.admin_url, other)
        for spec in (site.spec, other):
            await admin.execute(f"INSERT INTO {spec.name}.samples VALUES (now(), 1, 1)")
            assert (await plan_schema(site.admin_url, spec)).empty
        assert (await plan_schema(site.owner_url, site.spec)).empty
    finally:
        for role in (roles.owner, roles.writer, roles.reader):
            await admin.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_a_schema_name_that_is_a_keyword_works(ready: Site) -> None:
    roles, spec = ready.roles, SchemaSpec(name="select")
    await apply_schema(ready.owner_url, spec, roles=roles)
    writer = await ready.connect(ready.writer_url)
    assert await writer.fetchrow('SELECT * FROM "select".maintain()')
    await writer.close(timeout=5)
    assert (await plan_schema(ready.owner_url, spec, roles=roles)).empty


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE {schema}.samples (mine int)",
        "CREATE VIEW {schema}.samples AS SELECT 1 AS mine",
        "CREATE MATERIALIZED VIEW {schema}.ledger AS SELECT 1 AS mine",
        "CREATE TABLE {schema}.owner (mine int)",
        "CREATE TABLE {schema}.migration (mine int)",
        "CREATE TYPE {schema}.metrics AS (mine int)",
        "CREATE FUNCTION {schema}.maintain() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
async def test_an_object_of_somebody_else_is_reported_and_left_alone(ready: Site, foreign: str) -> None:
    schema = ready.spec.name
    owner = await ready.connect(ready.owner_url)
    await owner.execute(f"CREATE SCHEMA {schema}")
    await owner.execute(foreign.format(schema=schema))
    before = (await read_schema(ready.owner_url, ready.spec)).objects
    with pytest.raises(ConflictError, match="was not made by us"):
        await apply_schema(ready.owner_url, ready.spec)
    plan = await plan_schema(ready.owner_url, ready.spec)
    assert [problem.reason for problem in plan.problems] == ["object_conflict"]
    assert (await read_schema(ready.owner_url, ready.spec)).objects == before
    await owner.close(timeout=5)


async def test_a_table_put_in_the_place_of_ours_is_not_taken_for_ours(site: Site, admin: Connection) -> None:
    await admin.execute(f"DROP TABLE {site.spec.name}.rejects; CREATE TABLE {site.spec.name}.rejects (mine int)")
    with pytest.raises(ConflictError, match="rejects"):
        await apply_schema(site.owner_url, site.spec)


async def test_a_schema_of_somebody_else_is_left_alone(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    await admin.execute(f"CREATE SCHEMA {ready.spec.name}")
    with pytest.raises(ConflictError, match="belongs to"):
        await apply_schema(ready.owner_url, ready.spec)
    assert not await admin.fetch("SELECT FROM pg_tables WHERE schemaname = $1", ready.spec.name)
    await admin.close(timeout=5)


async def test_a_table_that_is_gone_is_reported_not_made_anew(site: Site, owner: Connection) -> None:
    await owner.execute("DROP TABLE ledger")
    with pytest.raises(DamagedError, match="ledger is gone"):
        await apply_schema(site.owner_url, site.spec)


async def test_a_column_that_is_gone_is_reported(site: Site, owner: Connection) -> None:
    await owner.execute("ALTER TABLE rejects DROP COLUMN point")
    with pytest.raises(DamagedError, match="point"):
        await apply_schema(site.owner_url, site.spec)


async def test_a_users_own_column_and_index_stay(site: Site, owner: Connection) -> None:
    await owner.execute("ALTER TABLE rejects ADD COLUMN seen boolean; CREATE INDEX mine ON samples (value)")
    changed = site.spec.model_copy(update={"index": "TimeBrin"})
    await apply_schema(site.owner_url, changed)
    catalog = await read_schema(site.owner_url, changed)
    assert [index.name for index in catalog.indexes] == ["mine", "samples_time_brin"]


async def test_a_migration_that_was_applied_with_other_content_is_refused(site: Site, owner: Connection) -> None:
    await owner.execute("UPDATE migration SET checksum = 'other' WHERE version = 1")
    changed = site.spec.model_copy(update={"index": "TimeBrin"})
    with pytest.raises(MigrationChangedError, match="migration 1"):
        await apply_schema(site.owner_url, changed)
    assert (await read_schema(site.owner_url, site.spec)).indexes == (INDEXES["SeriesTime"],)


@pytest.mark.parametrize(("minimum", "accepted"), [(1, True), (10_000, False)])
async def test_a_newer_database_is_accepted_if_it_says_so(
    site: Site, owner: Connection, minimum: int, accepted: bool
) -> None:
    version = load_migrations()[-1].version + 1
    await owner.execute(
        "INSERT INTO migration (version, name, checksum, minimum) VALUES ($1, 'next', 'x', $2)", version, minimum
    )
    if accepted:
        assert (await apply_schema(site.owner_url, site.spec)).empty
    else:
        with pytest.raises(SchemaTooNewError, match="upgrade"):
            await apply_schema(site.owner_url, site.spec)


async def test_a_failing_migration_leaves_no_trace(ready: Site) -> None:
    owner = await ready.connect(ready.owner_url)
    # A foreign type takes the name of a table's row type, which no catalog check looks for.
    await owner.execute(f"CREATE SCHEMA {ready.spec.name}; CREATE TYPE {ready.spec.name}.rejects AS ENUM ('mine')")
    with pytest.raises(SchemaError, match="could not apply migration 1"):
        await apply_schema(ready.owner_url, ready.spec)
    left = (await read_schema(ready.owner_url, ready.spec)).objects
    assert {item.key for item in left if item.kind == "table"} == set(BOOKKEEPING)
    await owner.execute(f"DROP TYPE {ready.spec.name}.rejects")
    await owner.close(timeout=5)
    await apply_schema(ready.owner_url, ready.spec)
    assert (await plan_schema(ready.owner_url, ready.spec)).empty


async def test_drifted_rights_are_seen_and_repaired(site: Site, admin: Connection) -> None:
    schema, roles = site.spec.name, site.roles
    await admin.execute(
        f"REVOKE INSERT ON {schema}.samples FROM {roles.writer};"
        f"GRANT SELECT ON {schema}.rejects TO {roles.reader};"
        f"GRANT EXECUTE ON FUNCTION {schema}.maintain() TO PUBLIC"
    )
    plan = await plan_schema(site.owner_url, site.spec)
    await apply_schema(site.owner_url, site.spec)
    assert [step.kind for step in plan.steps] == ["grants"]
    assert "INSERT on samples" in plan.steps[0].sentence
    assert "SELECT on rejects" in plan.steps[0].sentence
    assert (await read_schema(site.owner_url, site.spec)).grants == wanted_grants(schema, roles)


async def test_rights_given_to_other_roles_stay(site: Site, admin: Connection) -> None:
    await admin.execute(f"GRANT SELECT ON {site.spec.name}.rejects TO pg_monitor")
    assert (await plan_schema(site.owner_url, site.spec)).empty


async def test_default_privileges_of_the_database_give_our_roles_nothing(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    for role in (ready.roles.reader, "PUBLIC"):
        await admin.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {ready.roles.owner} GRANT ALL ON TABLES TO {role}")
    await admin.close(timeout=5)
    await apply_schema(ready.owner_url, ready.spec)
    assert (await read_schema(ready.owner_url, ready.spec)).grants == wanted_grants(ready.spec.name, ready.roles)
