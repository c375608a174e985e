"""The database of a storm: a PostgreSQL on a small file system of its own, to be killed, stalled and filled."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import psutil

from ingestor.errors import ConfigurationError
from ingestor.local import LocalServer
from ingestor.local.account import prepare_cache, server_account
from ingestor.local.postmaster import kill_all, processes_of
from support.database import Database, find_native, migrate

MIB = 1024 * 1024
DISK_MIB = 3_000
RESTART_TIMEOUT_S = 60.0
_BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE usename = 'analytics_writer' AND (NOT $1 OR query LIKE 'COMMIT%')
ORDER BY (state = 'active') DESC, random() LIMIT 1
"""
_LOOKING_S = 2.0


class StormDatabase:
    """Server and disk; as root the disk is a tmpfs, otherwise the cache folder, which is not filled."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._account = server_account()
        self._directory = cache / "instances" / f"storm-{os.getpid()}"
        self.has_disk = False

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(prepare_cache, self._cache, self._account)
        installation = await find_native(self._cache, self._account, print)
        await asyncio.to_thread(self._account.make_directory, self._directory)
        self.has_disk = os.geteuid() == 0 and await asyncio.to_thread(_mount, self._directory)
        await asyncio.to_thread(self._account.make_directory, self._directory)
        self._server = LocalServer(installation, self._directory, self._account)
        try:
            await self._server.start()
            await migrate(self._server, "ingestor")
            self.urls = Database.on(self._server, "ingestor")
            await self._execute("ALTER SYSTEM SET max_wal_size = '512MB'", "SELECT pg_reload_conf()")
        except BaseException:
            await self._remove()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._remove()

    async def terminate_backend(self, *, in_commit: bool) -> bool:
        """End one of the servers' backends, one that is in COMMIT if asked for; tell whether there was one."""
        pid = await self._find_backend(in_commit=in_commit)
        if pid is None:
            return False
        await self._execute(f"SELECT pg_terminate_backend({pid})")
        return True

    async def stall_backend(self, seconds: float) -> bool:
        """Stop one of the servers' backends for so long; tell whether there was one."""
        pid = await self._find_backend(in_commit=False)
        if pid is None:
            return False
        await self._stall([psutil.Process(pid)], seconds)
        return True

    async def stall(self, seconds: float) -> None:
        """Stop all of PostgreSQL for so long."""
        await self._stall(await asyncio.to_thread(processes_of, self._server.data_dir, self._account.uid), seconds)

    async def kill(self) -> None:
        """End all of PostgreSQL with SIGKILL and start it again."""
        await self._server.kill()
        await self._start()

    async def stop(self) -> None:
        """Stop PostgreSQL at once, without a checkpoint, and start it again."""
        await self._server.stop("immediate")
        await self._start()

    async def fill_disk(self, seconds: float) -> bool:
        """Leave no room on the file system for so long; a server that panicked over it is started again.

        Tell whether there is a file system to fill.
        """
        if not self.has_disk:
            return False
        ballast = self._directory / "ballast"
        try:
            await asyncio.to_thread(_fill, ballast)
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(ballast.unlink)
        if not await self._answers():
            await self._server.kill()
            await self._start()
        return True

    async def _start(self) -> None:
        async with asyncio.timeout(RESTART_TIMEOUT_S):
            await self._server.start()

    async def _answers(self) -> bool:
        deadline = asyncio.get_running_loop().time() + 10
        while self._server.pid is not None and asyncio.get_running_loop().time() < deadline:
            with suppress(asyncpg.PostgresError, OSError, TimeoutError):
                await self._execute("SELECT 1")
                return True
            await asyncio.sleep(0.2)
        return False

    async def _find_backend(self, *, in_commit: bool) -> int | None:
        deadline = asyncio.get_running_loop().time() + _LOOKING_S
        connection = await asyncpg.connect(self.urls.admin_url, timeout=10, command_timeout=30)
        try:
            while asyncio.get_running_loop().time() < deadline:
                pid: int | None = await connection.fetchval(_BACKENDS, in_commit)
                if pid is not None:
                    return pid
                await asyncio.sleep(0.005)
        finally:
            await connection.close()
        return None

    async def _stall(self, processes: list[psutil.Process], seconds: float) -> None:
        try:
            _signal_all(processes, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            _signal_all(processes, signal.SIGCONT)

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.urls.admin_url, timeout=10, command_timeout=30)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _remove(self) -> None:
        with suppress(ConfigurationError):
            await self._server.kill()
        await kill_all(self._server.data_dir, self._account.uid)
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self._directory)], check=False, timeout=30)  # noqa: ASYNC221
            await asyncio.to_thread(self._directory.rmdir)
        else:
            subprocess.run(["rm", "-rf", str(self._directory)], check=False, timeout=60)  # noqa: ASYNC221


def _mount(directory: Path) -> bool:
    """Mount a small file system, and tell whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs", str(directory)]
    return subprocess.run(command, check=False, timeout=30).returncode == 0


def _fill(ballast: Path) -> None:
    """Write a file until nothing is left, however much the database takes and frees meanwhile."""
    with ballast.open("wb") as file:
        end = 0
        for step in (64 * MIB, MIB, 4096):
            with suppress(OSError):
                while end < DISK_MIB * MIB:
                    os.posix_fallocate(file.fileno(), end, step)
                    end += step


def _signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
