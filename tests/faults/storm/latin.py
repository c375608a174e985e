"""A second database whose encoding lacks most scripts, with a server and a client of its own."""

import random
from dataclasses import dataclass

from faults.storm.findings import Findings
from faults.storm.hostile import HostileClient
from faults.storm.plan import Plan
from faults.storm.points import CLIENT_SHIFT, DAY_US, SERIES, Form, Request
from faults.storm.progress import Progress
from faults.storm.servers import Server
from ingestor.local import LocalServer
from support.database import Database, execute, migrate

NAME = "latin"
_ENCODING = "latin-1"
_MOST = 10
_SINGLES, _BUFFERED = 0.3, 0.2


async def make_latin_database(server: LocalServer) -> Database:
    """Make and migrate a database in LATIN1, as an early release would have: today's makes no schema in one."""
    admin_url = server.url("postgres")
    await execute(admin_url, f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    await migrate(server, NAME)
    # All text in it is ASCII so far, which is the same in both.
    await execute(
        admin_url, f"UPDATE pg_database SET encoding = pg_char_to_encoding('LATIN1') WHERE datname = '{NAME}'"
    )
    return Database.on(server, NAME)


class LatinMaker:
    """Requests of any series; those that the encoding lacks are marked by nothing but their names."""

    def __init__(self, seed: int, client: int, now_us: int) -> None:
        self._client = client
        self._now_us = now_us - DAY_US
        self._points = 0
        self._chance = random.Random(f"latin/{seed}")

    def make(self, *, hostile: bool) -> Request:
        """Return the next request."""
        single = self._chance.random() < _SINGLES
        size = 1 if single else self._chance.randint(1, _MOST)
        request = Request(
            client=self._client,
            form=Form.LOG_METRIC if single else Form.ROWS,
            first=((self._client + 1) << CLIENT_SHIFT) + self._points,
            size=size,
            base_us=self._now_us + self._points,
            first_series=self._chance.randrange(SERIES),
            late=(),
            negative=(),
            chance=random.Random(self._chance.random()),
            buffered=not single and self._chance.random() < _BUFFERED,
            encoding=_ENCODING,
        )
        self._points += size
        return request


class LatinClient(HostileClient):
    """Sends to one server alone."""

    def __init__(
        self, number: int, plan: Plan, servers: list[Server], progress: Progress, findings: Findings, now_us: int
    ) -> None:
        super().__init__(number, plan, servers, progress, findings, now_us)
        self._hostile_maker = LatinMaker(plan.seed, number, now_us)


@dataclass(frozen=True, slots=True)
class Latin:
    """The database, and who writes into it."""

    database: Database
    server: Server
    client: LatinClient
