"""One schema of its own for each test, on TimescaleDB under its community licence."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingestor.schema import apply as engine
from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.catalog import Catalog
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError
from support.community import CommunityConnection, community_server

URL = "postgresql://owner@community/test"
DAYS = 20

HOURLY = {
    "name": "by_hour",
    "bucket": "1h",
    "refresh": {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"},
}


class Site:
    """One schema of its own on the shared server, with everything but points."""

    def __init__(self, connection: CommunityConnection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def spec(self, **fields: object) -> SchemaSpec:
        return SchemaSpec.model_validate({"name": self.schema, **fields})

    async def apply(self, *, approved: str | None = None, **fields: object) -> list[str]:
        """Apply and return what was done; nothing may be left to do."""
        spec = self.spec(**fields)
        done = await apply_schema(URL, spec, approved=approved)
        again = await plan_schema(URL, spec)
        assert again.empty, again.steps
        return [step.sentence for step in done.steps]

    async def hold(self, **fields: object) -> HeldError:
        """Apply and return what was held."""
        with pytest.raises(HeldError) as held:
            await apply_schema(URL, self.spec(**fields))
        return held.value

    async def read(self) -> Catalog:
        return await read_schema(URL, self.spec())

    async def fill(self) -> None:
        """Store a point an hour for some days, of five series."""
        await self.connection.execute(
            f"INSERT INTO {self.schema}.samples (time, series_id, value)"
            f" SELECT now() - n * interval '1 hour', n % 5, n FROM generate_series(1, {24 * DAYS}) AS n"
        )

    async def convert(self, chunks: int) -> None:
        """Convert the oldest chunks, as the policy's job would."""
        names = [chunk.name for chunk in (await self.read()).chunks_of("samples")][:chunks]
        for name in names:
            await self.connection.execute(f"SELECT public.compress_chunk('{name}')")

    async def count(self, relation: str = "samples") -> int:
        return int(await self.connection.fetchval(f"SELECT count(*) FROM {self.schema}.{relation}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests here to one process: starting the engine takes as long as ten of them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("community"))


@pytest.fixture(scope="session")
def server() -> Iterator[CommunityConnection]:
    with community_server() as connection:
        yield connection


@pytest.fixture
async def site(server: CommunityConnection, monkeypatch: pytest.MonkeyPatch) -> Site:
    return await make_site(server, monkeypatch, "public")


async def make_site(server: CommunityConnection, monkeypatch: pytest.MonkeyPatch, place: str) -> Site:
    """Make a schema with everything but points; TimescaleDB goes into the schema ``place``."""

    @asynccontextmanager
    async def connected(_url: str, _application: str) -> AsyncIterator[CommunityConnection]:
        try:
            yield server
        finally:
            for statement in ("ROLLBACK", "RESET ROLE", "RESET ALL", "SELECT pg_advisory_unlock_all()"):
                await server.execute(statement)

    monkeypatch.setattr(engine, "connected", connected)
    schema = f"s_{secrets.token_hex(4)}"
    roles = Roles.for_schema(schema)
    await server.execute(f"CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA {place}")
    await server.execute(f"CREATE ROLE {roles.owner} SUPERUSER LOGIN")  # else it may not read pg_database there
    for role in (roles.writer, roles.reader):
        await server.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {place} TO {role}")
    await server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {roles.owner}")
    site = Site(server, schema)
    await site.apply()
    return site
