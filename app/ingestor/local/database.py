"""A database with TimescaleDB for as long as a block runs: the given one, or one on this machine."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import asyncpg

from ingestor.errors import ConfigurationError, words_of
from ingestor.local.account import Account, prepare_cache, server_account
from ingestor.local.container import ContainerEngine, ContainerServer
from ingestor.local.find import Say, find_or_install
from ingestor.local.installed import Installation
from ingestor.local.server import LocalServer

Find = Callable[[Path, Account, Say], Awaitable[Installation | ContainerEngine]]

DATABASE = "ingestor"
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class AdminDatabase:
    """A database and who may do everything in it."""

    admin_url: str = field(repr=False)
    description: str


class Server(Protocol):
    """A database server that this process starts and stops."""

    @property
    def description(self) -> str:
        """Say what runs, for people."""
        ...

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a DSN, the superuser's where no user is named."""
        ...

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        ...

    async def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it."""
        ...


@asynccontextmanager
async def running_database(
    cache: Path, *, instance: str, given_url: str | None, say: Say, find: Find = find_or_install
) -> AsyncIterator[AdminDatabase]:
    """Give a database named ``ingestor`` that has TimescaleDB, and stop its server when the block ends.

    ``given_url`` is used as it is: nothing is made, checked or stopped. ``instance`` names the data, which stay from
    one run to the next. ``find`` says where a TimescaleDB comes from. Unless a URL is given, this process forgets the
    variables of PostgreSQL's clients.

    Raises:
        InstanceBusyError: another process uses this instance.
        ConfigurationError: this machine has no TimescaleDB and cannot be given one, or it does not start.
    """
    if given_url:
        say("Database: the one of INGESTOR_DATABASE_URL")
        yield AdminDatabase(given_url, "the database of INGESTOR_DATABASE_URL")
        return
    _forget_other_databases()
    server = await find_server(cache, instance, say, find)
    await server.start()
    try:
        await ensure_database(server, DATABASE)
        say(f"Database: {server.description}")
        yield AdminDatabase(server.url(DATABASE), server.description)
    finally:
        await server.stop()


def _forget_other_databases() -> None:
    """Drop ``PGSSLMODE`` and the like: a shell has them for another database, and they would complete our URLs."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


async def find_server(cache: Path, instance: str, say: Say, find: Find = find_or_install) -> Server:
    """Return the server of ``instance``, not started yet.

    Raises:
        ConfigurationError: this machine has no TimescaleDB and cannot be given one.
    """
    account = server_account()
    prepare_cache(cache, account)
    found = await find(cache, account, say)
    # One major version cannot read the data of another.
    directory = cache / "instances" / f"{instance}-pg{found.major}"
    if isinstance(found, ContainerEngine):
        return ContainerServer(found, directory)
    return LocalServer(found, directory, account)


async def ensure_database(server: Server, name: str) -> None:
    """Make the database ``name`` if it is missing, and its extension, or bring that up to the installed version.

    Raises:
        ConfigurationError: the server refuses.
    """
    try:
        is_new = await _create_database(server.url("postgres"), name)
        await _ensure_extension(server.url(name), is_new=is_new)
    except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError) as error:
        raise ConfigurationError(f"{server.description}: {words_of(error)}") from error


async def _create_database(url: str, name: str) -> bool:
    connection = await _connect(url)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            return False
        await connection.execute(f'CREATE DATABASE "{name}"')
        return True
    finally:
        connection.terminate()


async def _ensure_extension(url: str, *, is_new: bool) -> None:
    connection = await _connect(url)
    try:
        if not is_new:
            # First of all: where the library's version changed, any other statement fails until this one has run.
            with suppress(asyncpg.UndefinedObjectError):
                await connection.execute("ALTER EXTENSION timescaledb UPDATE")
                return
        await connection.execute("CREATE EXTENSION timescaledb SCHEMA public")
    finally:
        connection.terminate()


async def _connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S)
