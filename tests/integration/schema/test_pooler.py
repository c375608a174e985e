"""The schema engine needs sessions of its own and says so; a login works through a pooler."""

from collections.abc import Awaitable, Callable

import pytest

from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.bootstrap import bootstrap
from ingestor.schema.drop import drop_schema, preview_drop
from ingestor.schema.faults import DirectConnectionNeededError
from ingestor.schema.preflight import inspect_durability
from ingestor.schema.spec import SchemaSpec
from ingestor_operator.database import check_login
from support.database import ROLES, SCHEMA, Database
from support.pgbouncer import CURRENT, OLD, find_pgbouncer, pgbouncer

SPEC = SchemaSpec(name=SCHEMA)
TASKS: list[Callable[[Database], Awaitable[object]]] = [
    lambda through: plan_schema(through.owner_url, SPEC),
    lambda through: apply_schema(through.owner_url, SPEC),
    lambda through: read_schema(through.owner_url, SPEC),
    lambda through: preview_drop(through.owner_url, SPEC),
    lambda through: drop_schema(through.owner_url, SPEC),
    lambda through: inspect_durability(through.owner_url),
    lambda through: bootstrap(through.admin_url, ROLES),
]


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "search_path"}], ids=["refused", "ignored"])
@pytest.mark.parametrize("suite", [CURRENT, OLD])
async def test_every_task_on_a_schema_asks_for_a_direct_connection(
    database: Database, suite: str, settings: dict[str, str]
) -> None:
    async with pgbouncer(await find_pgbouncer(suite), database, **settings) as through:
        for task in TASKS:
            with pytest.raises(
                DirectConnectionNeededError, match=r"is a connection pooler; .* needs a direct connection"
            ):
                await task(through)
        assert (await check_login(through.writer_url)).good
        wrong = await check_login(through.writer_url.replace(":writer@", ":other@"))
        assert not wrong.good
        assert "check user, password and database" in wrong.message
    assert (await plan_schema(database.owner_url, SPEC)).empty
