"""A database and three roles of its own for each test: nothing here depends on what other tests made."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

from ingestor.schema.apply import apply_schema
from ingestor.schema.bootstrap import Roles, bootstrap
from ingestor.schema.connect import Connection
from ingestor.schema.spec import SchemaSpec
from support.database import PREFIX, DatabaseServer, close_template, execute
from support.eventually import HANG_S

PASSWORD = "a'b\\c%d/é@:"  # every character that a careless quotation would break on


@dataclass(frozen=True)
class Site:
    """One empty database, its roles, and how to reach it as each of them."""

    admin_url: str
    roles: Roles
    spec: SchemaSpec

    def url(self, role: str) -> str:
        """Return the URL for a role that has the common password."""
        parts = urlsplit(self.admin_url)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}:{quote(PASSWORD, safe='')}@{place}"))

    @property
    def owner_url(self) -> str:
        return self.url(self.roles.owner)

    @property
    def writer_url(self) -> str:
        return self.url(self.roles.writer)

    @property
    def reader_url(self) -> str:
        return self.url(self.roles.reader)

    async def connect(self, url: str) -> Connection:
        """Open a connection that the caller closes."""
        return await asyncpg.connect(url, timeout=HANG_S, command_timeout=HANG_S)


@pytest.fixture(scope="session")
def extended(database_server: DatabaseServer) -> str:
    """Return the name of a database that has the extension and nothing else, to be copied."""
    name, server = f"{PREFIX}extended", database_server.server

    async def make() -> None:
        await execute(server.url("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
        await execute(server.url(name), "CREATE EXTENSION timescaledb")
        await close_template(server, name)

    asyncio.run(make())
    return name


@pytest.fixture
async def blank(database_server: DatabaseServer) -> AsyncIterator[Site]:
    """Return a database with nothing in it, and names of roles that do not exist yet."""
    async with _copy(database_server, "template0") as site:
        yield site


@asynccontextmanager
async def _copy(database_server: DatabaseServer, template: str) -> AsyncIterator[Site]:
    schema, server_url = f"s_{secrets.token_hex(4)}", database_server.server.url("postgres")
    admin = await asyncpg.connect(server_url, timeout=HANG_S, command_timeout=HANG_S)
    try:
        await admin.execute(f"CREATE DATABASE {schema} TEMPLATE {template} STRATEGY {database_server.strategy}")
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{schema}"))
        yield Site(url, Roles.for_schema(schema, PASSWORD, PASSWORD, PASSWORD), SchemaSpec(name=schema))
        await admin.execute(f"DROP DATABASE {schema} WITH (FORCE)")
        for role in ("owner", "writer", "reader"):
            await admin.execute(f"DROP ROLE IF EXISTS {schema}_{role}")
    finally:
        await admin.close(timeout=HANG_S)


@pytest.fixture
async def ready(database_server: DatabaseServer, extended: str) -> AsyncIterator[Site]:
    """Return a database after bootstrap."""
    async with _copy(database_server, extended) as site:
        await bootstrap(site.admin_url, site.roles, site.spec.name)
        yield site


@pytest.fixture
async def site(ready: Site) -> Site:
    """Return a database with our schema."""
    await apply_schema(ready.owner_url, ready.spec)
    return ready


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[Connection]:
    """Return a superuser's connection to the database with our schema."""
    connection = await site.connect(site.admin_url)
    yield connection
    await connection.close(timeout=HANG_S)


@pytest.fixture
async def owner(site: Site) -> AsyncIterator[Connection]:
    """Return the owner's connection, with our schema first in its search path."""
    connection = await site.connect(site.owner_url)
    await connection.execute(f"SET search_path = {site.spec.name}, public")
    yield connection
    await connection.close(timeout=HANG_S)


@pytest.fixture
async def writer(site: Site) -> AsyncIterator[Connection]:
    """Return the writer's connection, with our schema first in its search path."""
    connection = await site.connect(site.writer_url)
    await connection.execute(f"SET search_path = {site.spec.name}, public")
    yield connection
    await connection.close(timeout=HANG_S)


@pytest.fixture
async def reader(site: Site) -> AsyncIterator[Connection]:
    """Return the reader's connection, with the search path that bootstrap gave it."""
    connection = await site.connect(site.reader_url)
    yield connection
    await connection.close(timeout=HANG_S)
