"""Rollups, policies and the columnstore where TimescaleDB is in a schema of its own, with and without `public`."""

from collections.abc import AsyncIterator

import pytest

from support.community import community_server

from .conftest import DAYS, HOURLY, Site, make_site


@pytest.fixture(params=["CREATE SCHEMA tsdb", "CREATE SCHEMA tsdb; DROP SCHEMA public"])
async def placed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    with community_server() as server:
        await server.execute(request.param)
        yield await make_site(server, monkeypatch, "tsdb")


async def test_ageing_works_wherever_the_functions_are(placed: Site) -> None:
    await placed.connection.execute(f"INSERT INTO {placed.schema}.series VALUES (1, '', 'shop', 'orders', '{{}}')")
    await placed.fill()
    await placed.apply(columnstore={}, retention={"dropAfter": "90d"}, rollups=[HOURLY])
    await placed.apply(columnstore={"after": "3d"}, retention={"dropAfter": "60d"}, rollups=[HOURLY])
    await placed.connection.execute(f"SET ROLE {placed.schema}_reader")
    for function in ("buckets", "increase", "rate"):
        question = f"SELECT * FROM {placed.schema}.{function}('shop', 'orders', '-infinity', 'infinity', '1 hour')"
        assert len(await placed.connection.fetch(question)) == 24 * DAYS / 5
    await placed.connection.execute("RESET ROLE")
    held = await placed.hold()
    await placed.apply(approved=held.plan.hash)
