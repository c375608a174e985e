"""What is set for a role or a database changes neither what the engine reads nor what it does."""

import pytest

from ingestor.schema.apply import apply_schema, plan_schema
from ingestor.schema.bootstrap import bootstrap
from ingestor.schema.connect import connected
from ingestor.schema.drop import drop_schema
from ingestor.schema.faults import ReadOnlyError
from ingestor.schema.identifiers import quote_identifier
from support.database import DatabaseServer, execute

from .conftest import Site

HOSTILE = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "check_function_bodies": "off",
    "DateStyle": "SQL, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "IntervalStyle": "iso_8601",
    "lock_timeout": "1ms",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "statement_timeout": "1ms",
    "TimeZone": "Pacific/Chatham",
    "transaction_timeout": "10s",
    "transform_null_equals": "on",
}
"""For a role or a database; the last but one is known since PostgreSQL 17."""


async def _set(site: Site, target: str, settings: dict[str, str]) -> None:
    statements = [f"ALTER {target} SET {name} = '{value}'" for name, value in settings.items()]
    await execute(site.admin_url, *statements)


def _known(database_server: DatabaseServer) -> dict[str, str]:
    return {
        name: value
        for name, value in HOSTILE.items()
        if name != "transaction_timeout" or database_server.installation.major >= 17
    }


@pytest.mark.parametrize("place", ["role", "database"])
async def test_plan_apply_and_drop_work_whatever_is_set(
    blank: Site, place: str, database_server: DatabaseServer
) -> None:
    hostile = _known(database_server)
    await bootstrap(blank.admin_url, blank.roles, blank.spec.name)
    names = [blank.roles.owner] if place == "role" else [blank.spec.name]
    await _set(blank, f"{place.upper()} {quote_identifier(names[0])}", hostile)
    await bootstrap(blank.admin_url, blank.roles, blank.spec.name)
    spec = blank.spec.model_copy(update={"index": "TimeBrin", "chunk_interval": "12h"})
    assert (await apply_schema(blank.owner_url, spec)).steps
    assert (await plan_schema(blank.owner_url, spec)).empty
    assert (await drop_schema(blank.owner_url, spec)).schema


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_session_of_the_engine_has_a_setting_of_its_own(
    ready: Site, name: str, database_server: DatabaseServer
) -> None:
    async with connected(ready.owner_url, "test") as connection:
        before = await connection.fetchval("SELECT current_setting($1, true)", name)
    await _set(
        ready,
        f"ROLE {quote_identifier(ready.roles.owner)}",
        {known: value for known, value in _known(database_server).items() if known == name},
    )
    async with connected(ready.owner_url, "test") as connection:
        assert await connection.fetchval("SELECT current_setting($1, true)", name) == before


async def test_a_role_that_reads_only_is_told_so(ready: Site) -> None:
    await _set(ready, f"ROLE {quote_identifier(ready.roles.owner)}", {"default_transaction_read_only": "on"})
    assert (await plan_schema(ready.owner_url, ready.spec)).steps
    with pytest.raises(ReadOnlyError, match="default_transaction_read_only is on for this role or database"):
        await apply_schema(ready.owner_url, ready.spec)
