"""The servers of a storm: processes that are killed and come back on the same ports."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from faults.storm.clock import Clock
from faults.storm.network import Network

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0
_FIRST_PORT = 50_151


class IngestServer:
    """One server; its log goes on through all its lives."""

    def __init__(self, number: int, network: Network, clock: Clock, log: Path, module: Sequence[str]) -> None:
        self.clock = clock
        self.log = log
        self.grpc_port = _FIRST_PORT + 2 * number + os.getpid() % 1000 * 10
        self.http_port = self.grpc_port + 1
        self.exit_codes: list[int] = []
        self.variables: dict[str, str] = {}
        self._network = network
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._changing = asyncio.Lock()

    @property
    def target(self) -> str:
        """Return where it serves gRPC."""
        return f"{self._network.host}:{self.grpc_port}"

    def process(self) -> psutil.Process | None:
        """Return the running process."""
        if self._process is None or self._process.returncode is not None:
            return None
        return psutil.Process(self._process.pid)

    async def start(self) -> None:
        """Start it and wait until it serves."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        variables = {
            "INGESTOR_DATABASE_URL": self._network.database_url,
            "INGESTOR_GRPC_PORT": str(self.grpc_port),
            "INGESTOR_HTTP_PORT": str(self.http_port),
            "INGESTOR_GRPC_HOST": self._network.host,
            "INGESTOR_HTTP_HOST": self._network.host,
            "INGESTOR_LOG_FORMAT": "json",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **self.variables,
        }
        command = self._network.inside("env", *(f"{k}={v}" for k, v in self.clock.variables.items()), sys.executable)
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command, "-m", *self._module, stdout=output, stderr=output, env=os.environ | variables
            )
        async with asyncio.timeout(START_TIMEOUT_S):
            while not re.search(rb'"serving".*"grpc_port"', self.log.read_bytes()[offset:]):
                if self._process.returncode is not None:
                    raise RuntimeError(f"a server ended: {self.log.read_text()[-2000:]}")
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it with SIGKILL and start it again."""
        async with self._changing:
            await self._end(signal.SIGKILL)
            await self.start()

    async def stop(self) -> None:
        """Let it drain and start it again."""
        async with self._changing:
            self.exit_codes.append(await self._end(signal.SIGTERM))
            await self.start()

    async def close(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it for good."""
        async with self._changing:
            if self.process() is not None:
                self.exit_codes.append(await self._end(number))

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()
