"""What a superuser does once, on a real server."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from ingestor.schema.apply import plan_schema
from ingestor.schema.bootstrap import Roles, bootstrap, bootstrap_sql
from ingestor.schema.faults import DatabaseRefusedError, DatabaseUnavailableError, SchemaError

from .conftest import Site


async def test_all_three_roles_can_log_in_with_passwords_of_any_characters(ready: Site) -> None:
    for url in (ready.owner_url, ready.writer_url, ready.reader_url):
        connection = await ready.connect(url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close(timeout=5)


@pytest.mark.parametrize("password", ["plain", "Ⅸ-ligature", "a\u00a0b", "\u0627ab", "日本語", "-'\"\\$bootstrap$"])
async def test_the_database_takes_the_same_password_as_its_own_client(blank: Site, password: str) -> None:
    roles = replace(blank.roles, owner_password=password)
    await bootstrap(blank.admin_url, roles, blank.spec.name)
    connection = await asyncpg.connect(blank.admin_url, user=roles.owner, password=password, timeout=5)
    assert await connection.fetchval("SELECT current_user") == roles.owner
    await connection.close(timeout=5)


async def test_a_repeat_changes_the_password_and_leaves_a_password_of_none_alone(ready: Site) -> None:
    changed = Roles(ready.roles.owner, ready.roles.writer, ready.roles.reader, owner_password="new")
    await bootstrap(ready.admin_url, changed, ready.spec.name)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ready.connect(ready.owner_url)
    writer = await ready.connect(ready.writer_url)
    await writer.close(timeout=5)


async def test_many_bootstraps_at_once_all_succeed(blank: Site) -> None:
    await asyncio.gather(*(bootstrap(blank.admin_url, blank.roles, blank.spec.name) for _ in range(5)))
    assert not (await plan_schema(blank.owner_url, blank.spec)).problems


async def test_the_printed_sql_does_the_same_and_can_be_repeated(blank: Site) -> None:
    admin = await blank.connect(blank.admin_url)
    for _ in range(2):
        await admin.execute(bootstrap_sql(blank.spec.name, blank.roles, blank.spec.name))
    await admin.close(timeout=5)
    assert not (await plan_schema(blank.owner_url, blank.spec)).problems


async def test_no_role_gets_more_than_log_in(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    rows = await admin.fetch(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = ANY($1)",
        [ready.roles.owner, ready.roles.writer, ready.roles.reader],
    )
    await admin.close(timeout=5)
    assert len(rows) == 3
    assert not any(any(row) for row in rows)


async def test_somebody_who_is_no_superuser_is_told(ready: Site) -> None:
    with pytest.raises(SchemaError, match="permission denied"):
        await bootstrap(ready.writer_url, ready.roles, ready.spec.name)


async def test_a_wrong_password_and_a_dead_server_are_told_apart(ready: Site) -> None:
    wrong = ready.url(ready.roles.owner).replace(":a%27", ":b%27")
    with pytest.raises(DatabaseRefusedError, match="refuses this user"):
        await bootstrap(wrong, ready.roles, ready.spec.name)
    with pytest.raises(DatabaseUnavailableError, match="nothing listens there"):
        await bootstrap("postgresql://a:b@127.0.0.1:1/x", ready.roles, ready.spec.name)
