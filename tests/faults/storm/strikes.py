"""Carry a schedule out: wait until so many points are acked, then strike."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from faults.storm.database import StormDatabase
from faults.storm.network import Network
from faults.storm.plan import Kind, Strike
from faults.storm.servers import IngestServer
from faults.storm.traffic import Traffic

_POLL_S = 0.01
JUMP_S = 4.0
"""How long a clock stays wrong: longer than libfaketime keeps what it has read."""


class Striker:
    """Strikes, and counts what really happened."""

    def __init__(self, database: StormDatabase, network: Network, servers: Sequence[IngestServer]) -> None:
        self.done: Counter[Kind] = Counter()
        self._database = database
        self._network = network
        self._servers = servers

    async def run(self, schedule: Sequence[Strike], traffic: Traffic, slack_points: int) -> None:
        """Carry out the whole schedule; a clock that jumps stays wrong beside later strikes.

        Traffic may be ``slack_points`` ahead of the strike that comes next, without end after the last one.
        """
        told = traffic.told
        async with asyncio.TaskGroup() as lasting:
            for strike in schedule:
                traffic.allow(strike.at_points + slack_points)
                while told.acked_points < strike.at_points:
                    await asyncio.sleep(_POLL_S)
                if strike.kind is Kind.CLOCK_JUMPED:
                    lasting.create_task(self._count(strike))
                else:
                    await self._count(strike)
            traffic.allow(len(told.acked))

    async def _count(self, strike: Strike) -> None:
        hit = await self._strike(strike)
        self.done[strike.kind] += hit

    async def _strike(self, strike: Strike) -> bool:
        """Strike, and tell whether anything was hit."""
        database, server, seconds = self._database, self._servers[strike.server], strike.seconds
        strikes: dict[Kind, Callable[[], Awaitable[bool | None]]] = {
            Kind.BACKEND_TERMINATED: lambda: database.terminate_backend(in_commit=False),
            Kind.BACKEND_TERMINATED_IN_COMMIT: lambda: database.terminate_backend(in_commit=True),
            Kind.BACKEND_STALLED: lambda: database.stall_backend(seconds),
            Kind.SERVER_KILLED: server.kill,
            Kind.SERVER_STOPPED: server.stop,
            Kind.DATABASE_KILLED: database.kill,
            Kind.DATABASE_STOPPED: database.stop,
            Kind.DATABASE_STALLED: lambda: database.stall(seconds),
            Kind.NETWORK_CUT: lambda: self._network.cut(seconds),
            Kind.DISK_FULL: lambda: database.fill_disk(seconds),
            Kind.CLOCK_JUMPED: lambda: server.clock.jump(seconds, JUMP_S),
        }
        return await strikes[strike.kind]() is not False
