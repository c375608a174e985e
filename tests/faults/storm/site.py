"""Everything that faults act upon."""

import asyncio
from dataclasses import dataclass, field

from faults.storm.clients import StormClient
from faults.storm.database import StormDatabase
from faults.storm.findings import Findings
from faults.storm.links import Links
from faults.storm.progress import Progress
from faults.storm.servers import Server


@dataclass(frozen=True, slots=True)
class Site:
    """One storm's parts; who stops or cuts off something holds its lock, so that faults do not undo each other."""

    database: StormDatabase
    links: Links
    servers: list[Server]
    clients: list[StormClient]
    progress: Progress
    findings: Findings
    database_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
