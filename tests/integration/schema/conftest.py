"""A database and three roles of its own for each test: nothing here depends on what other tests made."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

from ingestor.schema.apply import apply_schema
from ingestor.schema.bootstrap import Roles, bootstrap
from ingestor.schema.connect import Connection
from ingestor.schema.spec import SchemaSpec
from support.database import DatabaseServer

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
        return await asyncpg.connect(url, timeout=5, command_timeout=30)


@pytest.fixture
def server_url(database_server: DatabaseServer) -> str:
    """Return the URL of a superuser on a server with TimescaleDB."""
    return database_server.server.url("postgres")


@pytest.fixture
async def blank(server_url: str) -> AsyncIterator[Site]:
    """Return a database with nothing in it, and names of roles that do not exist yet."""
    schema = f"s_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(server_url, timeout=5, command_timeout=60)
    try:
        await admin.execute(f"CREATE DATABASE {schema} TEMPLATE template0")
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{schema}"))
        yield Site(url, Roles.for_schema(schema, PASSWORD, PASSWORD, PASSWORD), SchemaSpec(name=schema))
        await admin.execute(f"DROP DATABASE {schema} WITH (FORCE)")
        for role in ("owner", "writer", "reader"):
            await admin.execute(f"DROP ROLE IF EXISTS {schema}_{role}")
    finally:
        await admin.close(timeout=5)


@pytest.fixture
async def ready(blank: Site) -> Site:
    """Return a database after bootstrap."""
    await bootstrap(blank.admin_url, blank.roles, blank.spec.name)
    return blank


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
    await connection.close(timeout=5)


@pytest.fixture
async def owner(site: Site) -> AsyncIterator[Connection]:
    """Return the owner's connection, with our schema first in its search path."""
    connection = await site.connect(site.owner_url)
    await connection.execute(f"SET search_path = {site.spec.name}, public")
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def writer(site: Site) -> AsyncIterator[Connection]:
    """Return the writer's connection, with our schema first in its search path."""
    connection = await site.connect(site.writer_url)
    await connection.execute(f"SET search_path = {site.spec.name}, public")
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def reader(site: Site) -> AsyncIterator[Connection]:
    """Return the reader's connection, with the search path that bootstrap gave it."""
    connection = await site.connect(site.reader_url)
    yield connection
    await connection.close(timeout=5)
