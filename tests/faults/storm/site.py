"""Everything that faults act upon."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from faults.storm.callers import HealthyCaller
from faults.storm.clients import StormClient
from faults.storm.database import StormDatabase
from faults.storm.findings import Findings
from faults.storm.hostile import HostileClient
from faults.storm.latin import Latin
from faults.storm.links import Links
from faults.storm.points import Request
from faults.storm.pooler import Pooler
from faults.storm.progress import Progress
from faults.storm.rules import Rules
from faults.storm.servers import Server


@dataclass(frozen=True, slots=True)
class Site:
    """One storm's parts; who stops or cuts off something holds its lock, so that faults do not undo each other.

    ``late_at`` is a time in the chunk that only hostile clients write into.
    """

    database: StormDatabase
    links: Links
    servers: list[Server]
    clients: list[StormClient]
    hostile: list[HostileClient]
    callers: list[HealthyCaller]
    rules: Rules
    poolers: list[Pooler]
    latin: Latin | None
    late_at: datetime
    progress: Progress
    findings: Findings
    database_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def steady(self) -> list[HostileClient]:
        """Return the clients whose points the database may refuse."""
        return [*self.hostile, *([self.latin.client] if self.latin is not None else [])]

    @property
    def every_server(self) -> list[Server]:
        """Return the servers, that of the other database included."""
        return [*self.servers, *([self.latin.server] if self.latin is not None else [])]

    @property
    def requests(self) -> list[Request]:
        """Return every request of every client of this database."""
        return [request for one in (*self.clients, *self.hostile, *self.callers) for request in one.requests]
