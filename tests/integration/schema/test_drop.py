"""A drop takes what we made and nothing else, all of it or nothing."""

import asyncio

import pytest
from typer.testing import CliRunner

from ingestor.commands.schema import schema_app
from ingestor.schema.apply import Limits, apply_schema, plan_schema, read_schema
from ingestor.schema.catalog import Catalog
from ingestor.schema.connect import Connection
from ingestor.schema.drop import Dropped, drop_schema, preview_drop
from ingestor.schema.faults import ConflictError, DependedOnError, LockBusyError, RightsMissingError
from ingestor.schema.objects import BOOKKEEPING, MADE_BY
from ingestor.schema.roles import Roles
from ingestor.schema.versions import load_migrations

from .conftest import Site

QUICK = Limits(long_lock_ms=20, attempts=3, pause_s=0.01)
CHUNKS = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_hyper\\_%'"


async def _catalog(site: Site) -> Catalog:
    return await read_schema(site.owner_url, site.spec)


async def test_a_drop_takes_everything_and_a_second_one_nothing(site: Site, owner: Connection) -> None:
    await owner.execute("INSERT INTO samples SELECT now() - n * interval '1 day', 1, n FROM generate_series(1, 5) AS n")
    dropped = await drop_schema(site.owner_url, site.spec)
    again = await drop_schema(site.owner_url, site.spec)
    made = {*BOOKKEEPING, *(key for keys in MADE_BY.values() for key in keys), ("index", "samples_series_time")}
    assert set(dropped.objects) == made
    assert (dropped.schema, dropped.kept) == (True, ())
    assert again == Dropped()
    assert again.empty
    assert (await _catalog(site)).schema_owner is None
    assert await owner.fetchval(CHUNKS) == 0


async def test_a_dropped_schema_is_made_anew(site: Site) -> None:
    await drop_schema(site.owner_url, site.spec)
    plan = await apply_schema(site.owner_url, site.spec)
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["schema", *["migration"] * len(load_migrations()), "hypertable", "index", "grants"]
    assert (await plan_schema(site.owner_url, site.spec)).empty


async def test_a_database_without_our_schema_has_nothing_to_drop(ready: Site) -> None:
    assert (await drop_schema(ready.owner_url, ready.spec)).empty
    assert (await preview_drop(ready.owner_url, ready.spec)).objects == ()


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE VIEW {schema}.mine AS SELECT * FROM {schema}.metrics",
        "CREATE VIEW public.mine AS SELECT * FROM {schema}.metrics",
        "CREATE MATERIALIZED VIEW public.mine AS SELECT count(*) FROM {schema}.samples",
        "CREATE TABLE public.mine (id bigint REFERENCES {schema}.series (id))",
        "CREATE TABLE public.mine () INHERITS ({schema}.rejects)",
        "CREATE TABLE public.mine (row {schema}.rejects)",
        "CREATE FUNCTION public.mine() RETURNS SETOF {schema}.ledger LANGUAGE sql AS 'TABLE {schema}.ledger'",
        "CREATE VIEW public.mine AS SELECT * FROM {schema}.maintain()",
    ],
)
async def test_what_others_built_on_ours_is_named_and_everything_stays(
    site: Site, owner: Connection, admin: Connection, foreign: str
) -> None:
    await owner.execute("INSERT INTO samples VALUES (now(), 1, 1)")
    await admin.execute(foreign.format(schema=site.spec.name))
    before = await _catalog(site)
    with pytest.raises(DependedOnError, match=r"mine.* depends on .*; nothing was dropped") as raised:
        await drop_schema(site.owner_url, site.spec)
    assert raised.value.reason == "object_depended_on"
    after = await _catalog(site)
    assert (after.objects, after.made, after.grants) == (before.objects, before.made, before.grants)
    assert await owner.fetchval("SELECT count(*) FROM samples") == 1
    assert (await plan_schema(site.owner_url, site.spec)).empty


@pytest.mark.parametrize(
    "foreign",
    ["CREATE TABLE {schema}.mine (n int)", "CREATE TYPE {schema}.mine AS ENUM ('a')", "CREATE SEQUENCE {schema}.mine"],
)
async def test_a_foreign_object_in_the_schema_stays_and_so_does_the_schema(
    site: Site, admin: Connection, foreign: str
) -> None:
    await admin.execute(foreign.format(schema=site.spec.name))
    dropped = await drop_schema(site.owner_url, site.spec)
    catalog = await _catalog(site)
    assert (dropped.schema, len(dropped.kept)) == (False, 1)
    assert "mine" in dropped.kept[0]
    assert ("table", "samples") in dropped.objects
    assert {item.name for item in catalog.objects} <= {"mine"}
    assert catalog.schema_owner == site.roles.owner
    await apply_schema(site.owner_url, site.spec)
    assert (await plan_schema(site.owner_url, site.spec)).empty


async def test_a_schema_that_we_did_not_make_stays(ready: Site) -> None:
    owner = await ready.connect(ready.owner_url)
    await owner.execute(f"CREATE SCHEMA {ready.spec.name}")
    await owner.close(timeout=5)
    await apply_schema(ready.owner_url, ready.spec)
    dropped = await drop_schema(ready.owner_url, ready.spec)
    assert (dropped.schema, dropped.kept) == (False, ())
    catalog = await _catalog(ready)
    assert (catalog.schema_owner, catalog.objects) == (ready.roles.owner, ())


async def test_a_table_put_in_the_place_of_ours_stays(site: Site, admin: Connection) -> None:
    table = f"{site.spec.name}.rejects"
    await admin.execute(f"DROP TABLE {table}; CREATE TABLE {table} (mine int); INSERT INTO {table} VALUES (7)")
    dropped = await drop_schema(site.owner_url, site.spec)
    assert ("table", "rejects") not in dropped.objects
    assert await admin.fetchval(f"SELECT mine FROM {table}") == 7


async def test_tables_that_carry_no_mark_of_ours_stay(ready: Site) -> None:
    owner = await ready.connect(ready.owner_url)
    name = ready.spec.name
    await owner.execute(
        f"CREATE SCHEMA {name}; CREATE TABLE {name}.owner (n int); CREATE TABLE {name}.migration (n int)"
    )
    assert (await drop_schema(ready.owner_url, ready.spec)).empty
    assert len((await _catalog(ready)).objects) == 2
    await owner.close(timeout=5)


async def test_other_schemas_and_the_roles_stay(site: Site, admin: Connection) -> None:
    other = site.spec.model_copy(update={"name": "other"})
    await apply_schema(site.owner_url, other, roles=site.roles)
    await drop_schema(site.owner_url, site.spec)
    assert (await plan_schema(site.owner_url, other, roles=site.roles)).empty
    assert await admin.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1)", _names(site.roles)) == 3
    assert await admin.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == 1


def _names(roles: Roles) -> list[str]:
    return [roles.owner, roles.writer, roles.reader]


async def test_two_drops_at_once_take_each_object_once(site: Site) -> None:
    results = await asyncio.gather(*(drop_schema(site.owner_url, site.spec) for _ in range(3)))
    assert sorted(result.empty for result in results) == [False, True, True]


async def test_a_drop_beside_an_apply_leaves_all_or_nothing(site: Site) -> None:
    changed = site.spec.model_copy(update={"index": "TimeBrin"})
    dropped, _ = await asyncio.gather(drop_schema(site.owner_url, site.spec), apply_schema(site.owner_url, changed))
    objects = (await _catalog(site)).objects
    assert dropped.schema
    assert not objects or (await plan_schema(site.owner_url, changed)).empty


async def test_a_lock_that_stays_ends_the_drop_with_everything_in_place(site: Site, writer: Connection) -> None:
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    with pytest.raises(LockBusyError, match=r"could not drop schema .*3 tries"):
        await drop_schema(site.owner_url, site.spec, limits=QUICK)
    await writer.execute("COMMIT")
    assert await writer.fetchval("SELECT count(*) FROM series") == 0
    assert (await plan_schema(site.owner_url, site.spec)).empty


async def test_a_drop_waits_for_a_transaction_that_ends(site: Site, writer: Connection) -> None:
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    dropping = asyncio.create_task(drop_schema(site.owner_url, site.spec))
    done, _ = await asyncio.wait({dropping}, timeout=0.3)
    assert not done
    await writer.execute("COMMIT")
    assert (await asyncio.wait_for(dropping, 30)).schema


async def test_a_superuser_drops_what_the_owner_has(site: Site) -> None:
    assert (await drop_schema(site.admin_url, site.spec)).schema


async def test_neither_another_role_nor_another_owner_drops_anything(site: Site) -> None:
    with pytest.raises(RightsMissingError):
        await drop_schema(site.writer_url, site.spec)
    roles = Roles(f"{site.roles.owner}x", site.roles.writer, site.roles.reader)
    with pytest.raises(ConflictError, match="belongs to"):
        await drop_schema(site.admin_url, site.spec, roles=roles)
    assert (await plan_schema(site.owner_url, site.spec)).empty


async def test_a_preview_counts_rows_and_bytes_of_all_chunks(site: Site, owner: Connection) -> None:
    uncounted = {table.name: table.rows for table in (await preview_drop(site.owner_url, site.spec)).tables}
    await owner.execute("INSERT INTO samples SELECT now() - n * interval '1 h', 1, n FROM generate_series(1, 99) AS n")
    await owner.execute("ANALYZE samples")
    preview = await preview_drop(site.owner_url, site.spec)
    largest = preview.tables[0]
    assert uncounted["samples"] == 0
    assert (largest.name, largest.rows) == ("samples", 99)
    assert largest.size_bytes >= 5 * 8192
    assert ("view", "metrics") in preview.objects


async def _command(site: Site, *arguments: str) -> tuple[int, str]:
    """Run ``ingestor schema drop`` in a thread: it brings up an event loop of its own."""
    command = ["drop", "--database-url", site.owner_url, "--schema", site.spec.name, *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, schema_app, command, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


async def test_the_command_says_what_would_go_and_drops_with_yes_alone(site: Site, owner: Connection) -> None:
    await owner.execute("INSERT INTO samples VALUES (now(), 1, 1); ANALYZE samples")
    code, text = await _command(site)
    assert code == 1
    assert "table samples: about 1 rows, 0.0 MiB" in text
    assert "view metrics" in text
    assert "--yes" in text
    assert (await plan_schema(site.owner_url, site.spec)).empty
    code, text = await _command(site, "--yes")
    assert (code, f"schema {site.spec.name} is dropped" in text) == (0, True)
    assert await _command(site) == (0, f"nothing to do: schema {site.spec.name} holds nothing of ours\n")
