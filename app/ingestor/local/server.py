"""One PostgreSQL server of ours: started, stopped, or killed as a power cut would."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Literal

import asyncpg

from ingestor.errors import ConfigurationError, words_of
from ingestor.local.account import Account, server_account
from ingestor.local.cluster import data_dir_of, ensure_cluster, open_log, write_settings
from ingestor.local.installed import Installation
from ingestor.local.instance import Instance
from ingestor.local.postmaster import POLL_S, STOP_TIMEOUT_S, kill_all, stop_leftovers
from ingestor.local.processes import run_to_its_end, spawn
from ingestor.local.ready import wait_until_ready
from ingestor.local.tether import Tether, tie_process

START_ATTEMPTS = 5
"""Ports tried: another process may take one between our look and the server's."""
LOG_LINES = 15

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class LocalServer:
    """The cluster in ``directory``, run by the programs of ``installation``; fsync is on, data outlives restarts.

    It belongs to no event loop: one may start it and another stop it. ``directory``'s parent must exist.
    """

    def __init__(self, installation: Installation, directory: Path, account: Account | None = None) -> None:
        self._installation = installation
        self._account = account or server_account()
        self._instance = Instance(directory, self._account)
        self._process: subprocess.Popen[bytes] | None = None
        self._tether: Tether | None = None

    @property
    def description(self) -> str:
        """Say what runs, for people."""
        return self._installation.description

    @property
    def data_dir(self) -> Path:
        """Return the data directory."""
        return data_dir_of(self._instance)

    @property
    def log_file(self) -> Path:
        """Return the server's log, of this and earlier runs."""
        return self._instance.directory / "log"

    @property
    def pid(self) -> int | None:
        """Return the postmaster's number, None while it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a DSN, the superuser's where no user is named; the port is known once ``start`` was called."""
        return self._instance.url(database, user, password)

    async def start(self) -> None:
        """Make the cluster if there is none, start the server, and wait until it takes connections.

        Raises:
            InstanceBusyError: another process runs this cluster.
            ConfigurationError: it does not start; the text ends with its log.
        """
        if self.pid is not None:
            return
        self._let_go()  # of a server that ended by itself
        await self._instance.open()
        try:
            await ensure_cluster(self._instance, self._installation)
            await stop_leftovers(self.data_dir, self._account.uid)
            await self._start_on_a_free_port()
        except BaseException:
            await self.stop("immediate")
            raise

    async def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server, ``fast`` with a checkpoint; does nothing where it is not running.

        A cancellation on the way makes it immediate.
        """
        try:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(_SIGNALS[mode])
                if not await self._wait_for_end():
                    await self.kill()
        except asyncio.CancelledError:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGQUIT)
            raise
        finally:
            self._let_go()

    async def kill(self) -> None:
        """End the postmaster and all its children with SIGKILL, as a power cut would.

        Raises:
            ConfigurationError: one of them does not end.
        """
        try:
            if self._process is not None:
                self._process.kill()
                await kill_all(self.data_dir, self._account.uid)
                await self._wait_for_end()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._untie()
        self._instance.close()

    def _untie(self) -> None:
        if self._tether is not None:
            self._tether.release()
            self._tether = None

    async def _wait_for_end(self) -> bool:
        deadline = asyncio.get_running_loop().time() + STOP_TIMEOUT_S
        while self._process is not None and self._process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _start_on_a_free_port(self) -> None:
        taken: set[int] = set()
        for _ in range(START_ATTEMPTS):
            await self._instance.take_port(taken)
            written_before = await run_to_its_end(self._spawn)
            try:
                ready = await wait_until_ready(self.url("postgres"), lambda: self.pid is not None)
            except asyncpg.PostgresError as error:
                message = f"{self.data_dir} refuses the password beside it: {words_of(error)}"
                raise ConfigurationError(f"{message}; remove {self._instance.directory}") from error
            if ready:
                return
            log = await asyncio.to_thread(self._read_log, written_before)
            if self.pid is not None or "Address already in use" not in log:
                raise ConfigurationError(f"PostgreSQL does not start; {self.log_file} says:\n{log}")
            self._untie()
            taken.add(self._instance.port)
        raise ConfigurationError("PostgreSQL does not start: other processes take each port that it tries")

    def _spawn(self) -> int:
        """Start the server and return the size of the log before, in bytes."""
        write_settings(self._instance)
        log = open_log(self.log_file, self._account)
        try:
            written_before = os.fstat(log).st_size
            postgres = self._installation.bin_dir / "postgres"
            self._process = spawn([str(postgres), "-D", str(self.data_dir)], self._account, self.data_dir, log)
            self._tether = tie_process(self._process.pid, _SIGNALS["fast"], self._account)
        finally:
            os.close(log)
        return written_before

    def _read_log(self, start: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(start)
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
