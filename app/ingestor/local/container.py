"""TimescaleDB in a container of Docker or Podman, for machines that have it in no other way."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg

from ingestor.errors import ConfigurationError, words_of
from ingestor.local.account import current_account
from ingestor.local.installed import NotHereError
from ingestor.local.instance import HOST, SUPERUSER, Instance
from ingestor.local.processes import CommandError, CommandRunner, Runner
from ingestor.local.ready import wait_until_ready
from ingestor.local.tether import Tether

IMAGE = "timescale/timescaledb:2.29.2-pg17"
MAJOR = 17
PROGRAMS = ("docker", "podman")
DATA = "/var/lib/postgresql/data"
PROBE_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 60.0
PULL_TIMEOUT_S = 900.0
GRACE_S = 30
"""Time for the checkpoint at stop, in seconds."""

SETTINGS = ("timescaledb.telemetry_level=off", "fsync=on", "synchronous_commit=on", "max_wal_size=4GB", "jit=off")


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """A client program whose engine answers."""

    program: str
    major: int = MAJOR


async def find_engine(run: Runner) -> ContainerEngine:
    """Return the first engine that answers and has the image or can fetch it; a client without one does not count.

    Raises:
        NotHereError: none does.
    """
    reason = "neither docker nor podman has an engine that answers"
    for program in PROGRAMS:
        try:
            # Not `info`: some clients end well there though no engine answers.
            await run(program, "ps", "--quiet", timeout_s=PROBE_TIMEOUT_S)
        except CommandError:
            continue
        try:
            await _fetch_image(program, run)
        except CommandError as error:
            reason = f"{program} has no {IMAGE} and cannot fetch it: {error}"
        else:
            return ContainerEngine(program)
    raise NotHereError(reason)


async def _fetch_image(program: str, run: Runner) -> None:
    try:
        await run(program, "image", "inspect", IMAGE, timeout_s=COMMAND_TIMEOUT_S)
    except CommandError:
        await run(program, "pull", "--quiet", IMAGE, timeout_s=PULL_TIMEOUT_S)


class ContainerServer:
    """One container with a named volume, published on this machine's loopback alone."""

    def __init__(self, engine: ContainerEngine, directory: Path, run: Runner | None = None) -> None:
        # As this process's user, whom the engine knows, not as the one who would run PostgreSQL itself.
        account = current_account()
        self._program = engine.program
        self._run = run or CommandRunner(account)
        self._instance = Instance(directory, account)
        self._tether: Tether | None = None
        self._name = "analytics-ingestor-" + re.sub(r"[^a-z0-9-]", "-", directory.name.lower())

    @property
    def description(self) -> str:
        """Say what runs, for people."""
        return f"TimescaleDB in a {self._program} container ({IMAGE}, volume {self._name})"

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a DSN, the superuser's where no user is named; the port is known once ``start`` was called."""
        return self._instance.url(database, user, password)

    async def start(self) -> None:
        """Start the container and wait until it takes connections.

        Raises:
            InstanceBusyError: another process runs this container.
            ConfigurationError: it does not start.
        """
        await self._instance.open()
        try:
            await self._remove()
            await self._instance.take_port(set())
            await asyncio.to_thread(self._write_variables)
            self._tether = Tether(current_account(), self._program, "stop", self._name)
            await self._run(*self._run_command(), timeout_s=COMMAND_TIMEOUT_S)
            await self._wait()
        except BaseException:
            await self.stop()
            raise

    async def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the container, ``fast`` with a checkpoint; the volume stays."""
        try:
            if mode == "fast":
                stop = (self._program, "stop", "--time", str(GRACE_S), self._name)
                await self._run(*stop, timeout_s=GRACE_S + COMMAND_TIMEOUT_S)
        except CommandError:
            pass  # it is not running
        finally:
            await self._remove()
            if self._tether is not None:
                self._tether.release()
                self._tether = None
            self._instance.close()

    async def _wait(self) -> None:
        try:
            ready = await wait_until_ready(self.url("postgres"), lambda: True)
        except asyncpg.PostgresError as error:
            way = f"remove it with `{self._program} volume rm {self._name}`"
            raise ConfigurationError(f"volume {self._name} has another password: {words_of(error)}; {way}") from error
        if not ready:
            raise ConfigurationError(f"{self.description} does not answer within the time for a start")

    async def _remove(self) -> None:
        try:
            await self._run(self._program, "rm", "--force", self._name, timeout_s=COMMAND_TIMEOUT_S)
        except CommandError as error:
            if "no such container" not in str(error).lower():
                raise

    def _write_variables(self) -> None:
        """Write what the image reads at its first start; a file, so that no list of processes shows the password."""
        text = f"POSTGRES_USER={SUPERUSER}\nPOSTGRES_PASSWORD={self._instance.password}\nNO_TS_TUNE=true\n"
        self._instance.account.write(self._instance.directory / "container.env", text)

    def _run_command(self) -> list[str]:
        return [
            *(self._program, "run", "--detach", "--name", self._name, "--shm-size", "256m"),
            *("--publish", f"{HOST}:{self._instance.port}:5432", "--volume", f"{self._name}:{DATA}"),
            *("--env-file", str(self._instance.directory / "container.env"), IMAGE),
            *(part for setting in SETTINGS for part in ("-c", setting)),
        ]
