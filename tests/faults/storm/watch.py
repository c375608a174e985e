"""Look at every server once a second: the accounts must balance in every scrape, memory must stay in bounds."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import psutil

from faults.storm.network import Network
from faults.storm.servers import IngestServer
from support.scrape import balance_of, read_samples

MIB = 1024 * 1024
RSS_LIMIT_BYTES = 300 * MIB
"""With at most 64 MiB of messages in flight, which a storm's clients do not reach."""
_INTERVAL_S = 1.0
_SCRAPE_TIMEOUT_S = 5.0


class Watch:
    """What was seen of the servers."""

    def __init__(self, network: Network, servers: Sequence[IngestServer]) -> None:
        self.peak_bytes = 0
        self.scrapes = 0
        self.violations: list[str] = []
        self._network = network
        self._servers = servers

    async def run(self) -> None:
        """Look until cancelled."""
        timeout = aiohttp.ClientTimeout(total=_SCRAPE_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for server in self._servers:
                    self._weigh(server)
                    with suppress(aiohttp.ClientError, OSError, TimeoutError):  # it is being killed, or starts
                        await self._scrape(session, server)
                await asyncio.sleep(_INTERVAL_S)

    def _weigh(self, server: IngestServer) -> None:
        with suppress(psutil.NoSuchProcess):
            process = server.process()
            if process is not None:
                self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
                if self.peak_bytes > RSS_LIMIT_BYTES:
                    self.violations.append(f"a server takes {self.peak_bytes / MIB:.0f} MiB")

    async def _scrape(self, session: aiohttp.ClientSession, server: IngestServer) -> None:
        async with session.get(f"http://{self._network.host}:{server.http_port}/metrics") as reply:
            received, accounted = balance_of(read_samples(await reply.text()))
        self.scrapes += 1
        if received != accounted:
            self.violations.append(f"{received:.0f} points received and {accounted:.0f} accounted for")
