"""The database of a storm: a cluster of its own, on small disks of its own where the storm fills them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from faults.storm.disks import MIB, Disk, mounted_disk
from ingestor.local import LocalServer
from ingestor.local.account import prepare_cache, server_account
from ingestor.local.postmaster import kill_all, processes_of
from ingestor.local.ready import wait_until_ready
from support.database import Database, copy_cluster, find_native, migrate

NAME = "ingestor"
_BYTES_PER_POINT = 300
_DATA_DISK_BYTES = 700 * MIB
_WAL_DISK_BYTES = 600 * MIB
_SETTINGS = "max_wal_size = '192MB'\nmin_wal_size = '80MB'\n"
"""Bounds that leave room on the WAL's disk."""
DOWN = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""How a database looks that is stopped, stalled or starting."""
_STARTS = 3
_FULL_S = 30.0
"""Longest time that a storm keeps a disk full, and some more."""


@dataclass(frozen=True, slots=True)
class StormDatabase:
    """A running server that faults may stop and kill; the disks are None where it has none of its own."""

    server: LocalServer
    database: Database
    data_disk: Disk | None
    wal_disk: Disk | None

    async def connect(self) -> asyncpg.Connection:
        """Connect as the administrator, past every gate; a new backend may need room on a disk that is full."""
        async with asyncio.timeout(_FULL_S):
            while True:
                with suppress(asyncpg.DiskFullError):
                    return await asyncpg.connect(self.database.admin_url, timeout=5, command_timeout=20)
                await asyncio.sleep(0.1)

    async def start(self) -> None:
        """Start the server if it is down, and wait until it takes connections.

        One that is ending when it is looked at, as after a panic whose recovery met a full disk, is started anew.
        """
        for _ in range(_STARTS):
            await self.server.start()
            if await wait_until_ready(self.database.admin_url, lambda: self.server.pid is not None):
                return
        raise RuntimeError(f"PostgreSQL did not start in {_STARTS} attempts; see {self.server.log_file}")

    async def processes(self) -> Sequence[psutil.Process]:
        """Return every process of the server, the postmaster first."""
        return await asyncio.to_thread(processes_of, self.server.data_dir, server_account().uid)


@asynccontextmanager
async def storm_database(
    cache: Path, token: str, points: int, *, disks: bool, prepared: Path | None
) -> AsyncIterator[StormDatabase]:
    """Run a migrated database, a copy of the stopped cluster in ``prepared`` where there is one."""
    account = server_account()
    prepare_cache(cache, account)
    installation = await find_native(cache, account, print)
    directory = cache / "instances" / f"storm-{token}-pg{installation.major}"
    async with AsyncExitStack() as stack:
        data_disk = wal_disk = None
        if disks:
            size = _DATA_DISK_BYTES + points * _BYTES_PER_POINT
            data_disk = await stack.enter_async_context(mounted_disk(directory, size, account))
            wal_point = directory.with_name(f"{directory.name}-wal")
            wal_disk = await stack.enter_async_context(mounted_disk(wal_point, _WAL_DISK_BYTES, account))
        else:
            await asyncio.to_thread(account.make_directory, directory)
            stack.push_async_callback(asyncio.to_thread, shutil.rmtree, directory, ignore_errors=True)
        stack.push_async_callback(kill_all, directory / "data", account.uid)
        if prepared is not None:
            await copy_cluster(prepared, directory)
        server = LocalServer(installation, directory)
        stack.push_async_callback(server.kill)
        await server.start()
        if prepared is None:
            await migrate(server, NAME)
        if wal_disk is not None:
            await server.stop()
            await asyncio.to_thread(_move_wal, server.data_dir, wal_disk.mount_point)
            await server.start()
        yield StormDatabase(server, Database.on(server, NAME), data_disk, wal_disk)


def _move_wal(data_dir: Path, disk: Path) -> None:
    wal = disk / "pg_wal"
    shutil.copytree(data_dir / "pg_wal", wal)
    account = server_account()
    for path in (wal, *wal.rglob("*")):
        shutil.chown(path, account.uid, account.gid)
    shutil.rmtree(data_dir / "pg_wal")
    (data_dir / "pg_wal").symlink_to(wal)
    with (data_dir / "postgresql.auto.conf").open("a") as file:
        file.write(_SETTINGS)
