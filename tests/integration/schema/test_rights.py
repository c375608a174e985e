"""What each role may do, asked by doing it; and what a pod and a person really need works."""

import uuid

import asyncpg
import pytest

from ingestor.schema.bootstrap import Roles
from ingestor.schema.connect import Connection
from ingestor.schema.objects import COLUMNS

from .conftest import Site

TABLES = ("series", "samples", "ledger", "ledger_beat", "rejects", "retention", "migration", "owner")
VERBS = {
    "SELECT": "SELECT FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = DEFAULT",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
    "ALTER": "ALTER TABLE {table} ADD COLUMN more int",
    "DROP": "DROP TABLE {table} CASCADE",
    "INDEX": "CREATE INDEX ON {table} ({column})",
}
FIRST_COLUMN = {table: columns[0].split()[0] for table, columns in COLUMNS.items()} | {
    "migration": "version",
    "owner": "kind",
}
WRITER = {
    "series": {"SELECT", "INSERT"},
    "samples": {"INSERT"},
    "ledger": {"SELECT", "INSERT", "DELETE"},
    "ledger_beat": {"SELECT", "INSERT"},
    "rejects": {"INSERT"},
    "migration": {"SELECT"},
    "retention": {"SELECT"},
}
READER = {"samples": {"SELECT"}, "series": {"SELECT"}}


async def _may(connection: Connection, statement: str) -> bool:
    """Tell whether the role may run a statement; one that fails for another reason was allowed."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return False
    except asyncpg.IntegrityConstraintViolationError:
        return True
    finally:
        await transaction.rollback()
    return True


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["writer", "reader", "owner"])
async def test_each_role_may_do_to_each_table_exactly_what_is_listed(site: Site, role: str, table: str) -> None:
    connection = await site.connect(site.url(getattr(site.roles, role)))
    target = f"{site.spec.name}.{table}"
    allowed = {
        verb
        for verb, template in VERBS.items()
        if await _may(connection, template.format(table=target, column=FIRST_COLUMN[table]))
    }
    await connection.close(timeout=5)
    expected = {"writer": WRITER.get(table, set()), "reader": READER.get(table, set()), "owner": set(VERBS)}[role]
    assert allowed == expected


@pytest.mark.parametrize(("role", "may"), [("writer", False), ("reader", True), ("owner", True)])
async def test_only_reader_and_owner_may_query_the_view(site: Site, role: str, may: bool) -> None:
    connection = await site.connect(site.url(getattr(site.roles, role)))
    assert await _may(connection, f"SELECT * FROM {site.spec.name}.metrics") is may
    await connection.close(timeout=5)


@pytest.mark.parametrize(("role", "may"), [("writer", True), ("reader", False)])
async def test_only_the_writer_may_call_maintain(site: Site, role: str, may: bool) -> None:
    connection = await site.connect(site.url(getattr(site.roles, role)))
    assert await _may(connection, f"SELECT * FROM {site.spec.name}.maintain()") is may
    await connection.close(timeout=5)


@pytest.mark.parametrize("role", ["writer", "reader"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {schema}.more (a int)",
        "CREATE SCHEMA more",
        "CREATE TABLE public.more (a int)",
        "CREATE ROLE more",
    ],
)
async def test_neither_writer_nor_reader_may_make_anything(site: Site, role: str, statement: str) -> None:
    connection = await site.connect(site.url(getattr(site.roles, role)))
    assert not await _may(connection, statement.format(schema=site.spec.name))
    await connection.close(timeout=5)


async def test_a_whole_flush_works_with_the_writers_rights(writer: Connection, owner: Connection) -> None:
    key = uuid.uuid4()
    await writer.execute(
        "INSERT INTO series VALUES (7, 'x', 'shop', 'orders', '{\"region\": \"eu\"}') ON CONFLICT (id) DO NOTHING"
    )
    async with writer.transaction():
        taken = await writer.fetch("INSERT INTO ledger VALUES ($1, 5, 1, 0) ON CONFLICT DO NOTHING RETURNING key", key)
        assert taken
        await writer.copy_records_to_table(
            "samples", records=[(await writer.fetchval("SELECT now()"), 7, 1.5)], columns=["time", "series_id", "value"]
        )
        await writer.execute("INSERT INTO rejects (pod, reason) VALUES ('p', 'time_range')")
    await writer.execute("INSERT INTO ledger_beat VALUES (date_trunc('minute', now())) ON CONFLICT DO NOTHING")
    await writer.execute("DELETE FROM ledger WHERE key = $1", key)
    rows = await owner.fetch("SELECT service_name, metric_name, value, labels->>'region' AS region FROM metrics")
    assert [tuple(row) for row in rows] == [("shop", "orders", 1.5, "eu")]


async def test_a_reader_finds_the_view_without_naming_the_schema(owner: Connection, reader: Connection) -> None:
    await owner.execute("INSERT INTO series VALUES (7, 'x', 'shop', 'orders', '{}')")
    await owner.execute("INSERT INTO samples VALUES (now(), 7, 2)")
    rows = await reader.fetch("SELECT time_bucket('1h', time), avg(value) AS mean FROM metrics GROUP BY 1")
    assert [row["mean"] for row in rows] == [2.0]


async def test_the_definer_function_pins_its_search_path(owner: Connection) -> None:
    row = await owner.fetchrow("SELECT prosecdef, proconfig FROM pg_proc WHERE proname = 'maintain'")
    assert row
    assert row["prosecdef"]
    assert "search_path=pg_catalog, pg_temp" in row["proconfig"]


def test_a_password_never_shows_in_the_text_of_the_roles() -> None:
    assert "secret" not in repr(Roles.for_schema("analytics", "secret", "secret", "secret"))
