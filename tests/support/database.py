"""A real TimescaleDB for tests: one server a test process, one database a test, cloned from a migrated template."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import asyncpg
import psutil

from ingestor.local import InstanceBusyError, LocalServer
from ingestor.local.account import FOLDER, Account, prepare_cache, server_account
from ingestor.local.database import ensure_database
from ingestor.local.debian import RELEASES, DebianPackages
from ingestor.local.filelock import FileLock
from ingestor.local.find import Say, first_of, native_sources
from ingestor.local.installed import Installation
from ingestor.local.postmaster import kill_all
from ingestor.local.processes import CommandRunner
from ingestor.schema.apply import apply_schema
from ingestor.schema.bootstrap import bootstrap
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from support.eventually import HANG_S

SCHEMA = "analytics"
TEMPLATE = "migrated"
PREFIX = "test_"
SLOTS = 32
"""Test processes that may run at once, each with a server of its own."""
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 1024**3
"""What must be free in memory before clusters are kept there; a test process takes some 300 MiB of it."""
ROLES = Roles.for_schema(SCHEMA, owner_password="owner", writer_password="writer", reader_password="reader")


@dataclass(frozen=True, slots=True)
class Database:
    """One migrated database and who may do what in it."""

    name: str
    admin_url: str
    owner_url: str
    writer_url: str
    reader_url: str

    @classmethod
    def on(cls, server: LocalServer, name: str) -> "Database":
        """Return the database ``name`` of ``server`` with its URLs as of now."""
        return cls(
            name=name,
            admin_url=server.url(name),
            owner_url=server.url(name, ROLES.owner, ROLES.owner_password),
            writer_url=server.url(name, ROLES.writer, ROLES.writer_password),
            reader_url=server.url(name, ROLES.reader, ROLES.reader_password),
        )


@dataclass(frozen=True, slots=True)
class PrivateServer:
    """A server that its test may stop, kill and start; it keeps its port, so the URLs stay true."""

    server: LocalServer
    database: Database


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """The server of this test process, and what it takes to make more."""

    server: LocalServer
    installation: Installation
    directory: Path
    cache: Path

    @property
    def strategy(self) -> str:
        """Return how a copy of a database is made fastest here: by files where their checkpoint costs nothing."""
        return "FILE_COPY" if self._in_memory else "WAL_LOG"

    @property
    def _in_memory(self) -> bool:
        return self.directory.is_relative_to(MEMORY)

    async def close(self) -> None:
        """Stop the server, and give its memory back; on a disk its cluster stays for the next test process."""
        await self.server.stop("immediate")
        lock = FileLock(self.directory / "lock")
        if self._in_memory and lock.take():  # else another test process has it already
            for left in (self.directory / "data", *self.directory.parent.glob(f"{self.directory.name}-p*")):
                await asyncio.to_thread(shutil.rmtree, left)
            lock.release()

    @asynccontextmanager
    async def clone(self) -> AsyncIterator[Database]:
        """Give a fresh copy of the migrated database, dropped in the end whoever is still connected."""
        name = f"{PREFIX}{token_hex(6)}"
        admin_url = self.server.url("postgres")
        await _clone(admin_url, name, self.strategy)
        try:
            database = Database.on(self.server, name)
            # Rights on the database itself and a role's settings in it are not part of a copy.
            await bootstrap(database.admin_url, Roles.for_schema(SCHEMA))
            yield database
        finally:
            await execute(admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @asynccontextmanager
    async def private(self, prepared: Path) -> AsyncIterator[PrivateServer]:
        """Give a running copy of the stopped cluster in ``prepared``, removed in the end."""
        async with self.private_directory() as directory:
            await copy_cluster(prepared, directory)
            server = LocalServer(self.installation, directory)
            try:
                await server.start()
                yield PrivateServer(server, Database.on(server, "ingestor"))
            finally:
                await server.kill()

    @asynccontextmanager
    async def private_directory(self, *, in_cache: bool = False) -> AsyncIterator[Path]:
        """Give the place of a cluster that is not made yet, beside this one or where users have theirs.

        Whatever runs there in the end is killed.
        """
        name = f"{self.directory.name}-private-{token_hex(4)}-pg{self.installation.major}"
        directory = (self.cache / "instances" if in_cache else self.directory.parent) / name
        try:
            yield directory
        finally:
            await kill_all(directory / "data", server_account().uid)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def find_native(cache: Path, account: Account, say: Say) -> Installation:
    """Return a TimescaleDB that runs on this machine itself, not in a container: the tests kill servers.

    ``TEST_POSTGRESQL`` is the major version of one of Debian's; without it the machine's own is taken if it has one.

    Raises:
        ConfigurationError: this machine has none and cannot be given one.
    """
    if major := os.environ.get("TEST_POSTGRESQL"):
        return await DebianPackages(cache, account, say, release=RELEASES[int(major)]).find()
    found = await first_of(native_sources(cache, account, say))
    assert isinstance(found, Installation)
    return found


async def start_database_server(cache: Path, *, in_memory: bool = False) -> DatabaseServer:
    """Start a server that no other test process uses and migrate its template; ``in_memory`` if there is room.

    Raises:
        ConfigurationError: this machine has no TimescaleDB and cannot be given one.
    """
    account = server_account()
    prepare_cache(cache, account)
    installation = await find_native(cache, account, print)
    memory = _memory(account) if in_memory else None
    for slot in range(1, SLOTS + 1):
        name = f"{'memory' if memory else 'test'}-{slot}-pg{installation.major}"
        directory = (memory or cache / "instances") / name
        server = LocalServer(installation, directory, account)
        try:
            await server.start()
        except InstanceBusyError:
            continue
        try:
            await _remove_leftovers(server, directory, cache)
            await migrate(server, TEMPLATE)
            await close_template(server, TEMPLATE)
        except BaseException:
            await server.stop()
            raise
        return DatabaseServer(server, installation, directory, cache)
    raise RuntimeError(f"{SLOTS} test processes run already")


def _memory(account: Account) -> Path | None:
    """Return a folder in memory, None if there is too little; on a disk most of a test is files made and removed."""
    if not MEMORY.is_dir() or min(psutil.disk_usage(str(MEMORY)).free, psutil.virtual_memory().available) < ROOM_BYTES:
        return None
    folder = MEMORY / f"{FOLDER}-tests-{account.uid}"
    account.make_directory(folder)
    return folder


async def prepare_cluster(database_server: DatabaseServer) -> Path:
    """Return the folder of a stopped cluster with a migrated database, for ``DatabaseServer.private`` to copy."""
    directory = database_server.directory.with_name(f"{database_server.directory.name}-prepared")
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    server = LocalServer(database_server.installation, directory)
    await server.start()
    try:
        await migrate(server, "ingestor")
    finally:
        await server.stop()
    return directory


async def copy_cluster(prepared: Path, directory: Path) -> None:
    """Make ``directory`` a copy of the stopped cluster in ``prepared``, password included."""
    account = server_account()
    await asyncio.to_thread(account.make_directory, directory)
    await CommandRunner(account)("cp", "-a", prepared / "data", prepared / "password", directory, timeout_s=HANG_S)


async def migrate(server: LocalServer, database: str) -> None:
    """Make ``database`` with roles and schema, as an administrator and then the owner would."""
    await ensure_database(server, database)
    urls = Database.on(server, database)
    await bootstrap(urls.admin_url, ROLES)
    await apply_schema(urls.owner_url, SchemaSpec(name=SCHEMA))


async def keep_points(owner_url: str, seconds: int | None) -> None:
    """Let the schema drop points of that age from now on, or none."""
    retention = {"dropAfter": f"{seconds}s"} if seconds else None
    await apply_schema(owner_url, SchemaSpec.model_validate({"name": SCHEMA, "retention": retention}))


async def _remove_leftovers(server: LocalServer, directory: Path, cache: Path) -> None:
    """Remove what a test process that was killed left in this slot."""
    admin_url = server.url("postgres")
    connection = await asyncpg.connect(admin_url)
    try:
        names = await connection.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1) OR datname = $2", PREFIX, TEMPLATE
        )
    finally:
        await connection.close()
    for (name,) in names:
        await execute(admin_url, f'ALTER DATABASE "{name}" IS_TEMPLATE false')
        await execute(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')
    places = {directory.parent, cache / "instances"}
    for left in await asyncio.to_thread(
        lambda: [path for place in places for path in place.glob(f"{directory.name}-p*")]
    ):
        await kill_all(left / "data", server_account().uid)
        await asyncio.to_thread(shutil.rmtree, left)


async def close_template(server: LocalServer, name: str) -> None:
    """Keep everybody out of a template, TimescaleDB's scheduler included: a copy needs it unused."""
    url = server.url("postgres")
    await execute(url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false IS_TEMPLATE true")
    await execute(url, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")


async def _clone(admin_url: str, name: str, strategy: str) -> None:
    deadline = asyncio.get_running_loop().time() + HANG_S
    while True:
        try:
            await execute(admin_url, f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY {strategy}')
        except asyncpg.ObjectInUseError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def execute(url: str, *statements: str, timeout_s: float = HANG_S) -> None:
    """Run statements one after the other, each within ``timeout_s``."""
    connection = await asyncpg.connect(url, timeout=HANG_S, command_timeout=timeout_s)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    """Return the rows of a query."""
    connection = await asyncpg.connect(url, timeout=HANG_S, command_timeout=HANG_S)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()
