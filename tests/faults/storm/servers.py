"""The servers of a storm: processes that are killed and come back on their port."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import psutil

from faults.storm.clocks import FakeClock
from faults.storm.links import Place

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0
_TESTS = Path(__file__).parents[2]
_POLL_S = 0.05


class Server:
    """One ``ingestor serve``, or with ``sabotage`` one that breaks the contract; ``clock`` is None where it is true."""

    def __init__(
        self,
        number: int,
        place: Place,
        log: Path,
        *,
        database_url: str,
        clock: FakeClock | None,
        sabotage: str,
        window_min: int,
    ) -> None:
        self.number = number
        self.place = place
        self.lock = asyncio.Lock()
        self.refused_ahead = 0
        self.log = log
        self._database_url = database_url
        self._clock = clock
        self._offsets_s = [0.0, 0.0]
        self._sabotage = sabotage
        self._window_min = window_min
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it serves."""
        module = ("faults.storm.sabotage", self._sabotage) if self._sabotage else ("ingestor", "serve")
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.place.prefix, sys.executable, "-m", *module,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=os.environ | self._variables(), start_new_session=True,
            )  # fmt: skip
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await self._is_ready():
                if self.process.returncode is not None:
                    raise RuntimeError(f"server {self.number} ended, see {self.log}: {self.log.read_text()[-2000:]}")
                await asyncio.sleep(_POLL_S)

    @property
    def runs(self) -> bool:
        """Tell whether the process is there."""
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()

    async def terminate(self) -> int:
        """Ask it to end and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)

    def set_clock(self, offset_s: float) -> None:
        """Let its clock jump."""
        assert self._clock is not None, "the plan has faults for clocks that are not there"
        self._offsets_s = [self._offsets_s[-1], offset_s]
        self._clock.set(offset_s)

    @property
    def least_offset_s(self) -> float:
        """Return how far ahead its clock is, the lower of now and before the last jump: a jump takes a moment."""
        return min(self._offsets_s)

    def rss_bytes(self) -> int:
        """Return its memory, 0 where it does not run."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss) if self.process is not None else 0
        except psutil.Error:
            return 0

    def _variables(self) -> dict[str, str]:
        wanted = {
            "database_url": self._database_url,
            "grpc_host": self.place.host,
            "http_host": self.place.host,
            "grpc_port": self.place.grpc_port,
            "http_port": self.place.http_port,
            "log_format": "json",
            "pod_name": f"server-{self.number}",
            "deduplication_window_min": self._window_min,
        }
        variables = {f"INGESTOR_{name.upper()}": str(value) for name, value in wanted.items()}
        return variables | {"PYTHONPATH": str(_TESTS)} | (self._clock.variables if self._clock else {})

    async def _is_ready(self) -> bool:
        url = f"http://{self.place.host}:{self.place.http_port}/readyz"
        try:
            timeout = aiohttp.ClientTimeout(total=2)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
