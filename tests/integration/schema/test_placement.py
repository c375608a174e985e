"""TimescaleDB may be in any schema: from bootstrap to drop everything works, for each role, and what lacks is named."""

from datetime import UTC, datetime, timedelta

import pytest

from ingestor.schema.apply import apply_schema, plan_schema
from ingestor.schema.bootstrap import bootstrap, bootstrap_sql
from ingestor.schema.faults import RightsMissingError
from ingestor.schema.spec import SchemaSpec
from ingestor_operator.database import Target, drop, keep_schema
from support.docs import block
from support.points import columns
from support.service import running_service

from .conftest import Site
from .test_commands import run

CLOSE_PUBLIC = "REVOKE ALL ON SCHEMA public FROM PUBLIC"
PLACES = {
    "public": ["CREATE EXTENSION timescaledb SCHEMA public"],
    "own schema": ["CREATE SCHEMA tsdb", "CREATE EXTENSION timescaledb SCHEMA tsdb"],
    "quoted schema": ['CREATE SCHEMA "Time, S"', 'CREATE EXTENSION timescaledb SCHEMA "Time, S"'],
    "closed public": ["CREATE EXTENSION timescaledb SCHEMA public", CLOSE_PUBLIC],
    "no public": ["DROP SCHEMA public", "CREATE SCHEMA tsdb", "CREATE EXTENSION timescaledb SCHEMA tsdb"],
}
TO_COME = {"to come": [], "to come, closed public": [CLOSE_PUBLIC], "to come, no public": ["DROP SCHEMA public"]}


async def _prepare(site: Site, statements: list[str]) -> None:
    admin = await site.connect(site.admin_url)
    for statement in statements:
        await admin.execute(statement)
    await admin.close(timeout=5)


@pytest.fixture(params=[*PLACES, *TO_COME])
async def placed(blank: Site, request: pytest.FixtureRequest) -> Site:
    """Return a database that an administrator prepared in one of the ways, before bootstrap."""
    await _prepare(blank, (PLACES | TO_COME)[request.param])
    return blank


def _ageing(site: Site) -> SchemaSpec:
    return SchemaSpec.model_validate({"name": site.spec.name, "retention": {"dropAfter": "10d"}})


async def test_a_person_gets_from_bootstrap_to_drop(placed: Site) -> None:
    done = [(*command, (await run(placed, *command)).exit_code) for command in (
        ("schema", "bootstrap"), ("schema", "bootstrap"), ("schema", "plan"), ("schema", "apply"),
        ("schema", "apply", "--chunk-interval", "2h", "--index", "TimeBrin"), ("schema", "show"), ("check",),
        ("schema", "drop", "--yes"),
    )]  # fmt: skip
    assert [code for *_, code in done] == [0] * 8, done


async def test_the_printed_sql_is_enough(placed: Site) -> None:
    for _ in range(2):
        await _prepare(placed, [bootstrap_sql(placed.spec.name, placed.roles, placed.spec.name)])
    await apply_schema(placed.owner_url, placed.spec)
    assert (await plan_schema(placed.owner_url, placed.spec)).empty


async def test_the_server_writes_and_the_reader_reads(placed: Site) -> None:
    await bootstrap(placed.admin_url, placed.roles, placed.spec.name)
    await apply_schema(placed.owner_url, _ageing(placed))
    async with running_service(placed.writer_url, database_schema=placed.spec.name) as service:
        reply = await service.client.write(columns(100, series=2, name="load"))
    assert (reply.accepted_points, reply.rejected_points) == (100, 0)
    writer = await placed.connect(placed.writer_url)
    await writer.execute(f"SELECT {placed.spec.name}.maintain()")
    await writer.close(timeout=5)
    reader = await placed.connect(placed.reader_url)
    now = datetime.now(UTC)
    arguments = ("test", "load", now - timedelta(days=1), now, timedelta(hours=30))
    counted = await reader.fetch("SELECT count FROM buckets($1, $2, $3, $4, $5)", *arguments)
    assert sum(row["count"] for row in counted) == 100
    for function in ("increase", "rate"):
        assert await reader.fetch(f"SELECT * FROM {function}($1, $2, $3, $4, $5)", *arguments)
    assert await reader.fetchval("SELECT count(*) FROM (SELECT time_bucket('1h', time) FROM metrics) AS bucket") == 100
    for section in ("Points", "Series over time"):
        await reader.execute(block("docs/queries.md", section))
    await reader.close(timeout=5)


async def test_the_operator_keeps_the_schema_drops_old_points_and_in_the_end_all(placed: Site) -> None:
    await bootstrap(placed.admin_url, placed.roles, placed.spec.name)
    target = Target(placed.owner_url, placed.roles, _ageing(placed), "Apply", None)
    verdict = await keep_schema(target)
    assert verdict.good, verdict.applied
    owner = await placed.connect(placed.owner_url)
    await owner.execute(f"INSERT INTO {placed.spec.name}.samples VALUES (now() - interval '30 days', 1, 1)")
    assert [(await keep_schema(target)).steps for _ in range(2)] == [1, 0]
    assert await owner.fetchval(f"SELECT count(*) FROM {placed.spec.name}.samples") == 0
    await owner.close(timeout=5)
    assert "dropped" in await drop(target)


@pytest.mark.parametrize("place", ["public", "own schema"])
async def test_who_lacks_the_right_to_use_it_is_named_with_the_statement_that_mends_it(blank: Site, place: str) -> None:
    await _prepare(blank, PLACES[place])
    await bootstrap(blank.admin_url, blank.roles, blank.spec.name)
    await apply_schema(blank.owner_url, blank.spec)
    schema = {"public": "public", "own schema": "tsdb"}[place]
    closed = f'REVOKE ALL ON SCHEMA {schema} FROM PUBLIC, "{blank.roles.owner}", "{blank.roles.reader}"'
    await _prepare(blank, [closed])
    with pytest.raises(RightsMissingError, match=f"{blank.roles.owner} may not use schema") as refused:
        await apply_schema(blank.owner_url, blank.spec)
    await _prepare(blank, [str(refused.value).partition("runs: ")[2].partition(" (or")[0]])
    plan = await apply_schema(blank.owner_url, blank.spec)
    (note,) = plan.notes
    assert f"{blank.roles.reader} may not use schema" in note
    await _prepare(blank, [note.partition("runs: ")[2].partition(" (or")[0]])
    assert not (await plan_schema(blank.owner_url, blank.spec)).notes


@pytest.mark.parametrize("place", TO_COME)
async def test_the_owner_adds_it_where_every_role_may_use_it(blank: Site, place: str) -> None:
    await bootstrap(blank.admin_url, blank.roles, blank.spec.name)
    admin = await blank.connect(blank.admin_url)
    await admin.execute("DROP EXTENSION timescaledb")
    await admin.close(timeout=5)
    await _prepare(blank, TO_COME[place])
    plan = await apply_schema(blank.owner_url, blank.spec)
    assert plan.steps[0].kind == "extension"
    reader = await blank.connect(blank.reader_url)
    await reader.execute("SELECT * FROM buckets('shop', 'orders', '2026-03-01', '2026-03-02', '1 hour')")
    await reader.close(timeout=5)
