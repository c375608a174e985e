"""A TCP proxy between one server and the database that knows when COMMIT passes: faults aim with it."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum

from support.commits import FlushCommits
from support.relay import Relay, Stream

_BACKEND_KEY = b"K\x00\x00\x00\x0c"
_READ_BYTES = 1 << 16


class Moment(Enum):
    """When an ambush strikes."""

    BEFORE_COMMIT = "the database has all rows and no COMMIT yet"
    DURING_COMMIT = "the database has COMMIT and has not answered"
    AFTER_COMMIT = "the database has answered COMMIT, the server does not know it"


class Ambush:
    """Waits for one COMMIT; ``act`` gets the process number of the backend and tells whether it struck.

    Without ``act`` the connection is cut. ``over`` is set once it was sprung, ``struck`` says whether to any effect.
    """

    def __init__(self, moment: Moment, act: Callable[[int], Awaitable[bool]] | None = None) -> None:
        self.moment = moment
        self.act = act
        self.over = asyncio.Event()
        self.struck = False
        self._taken = False

    async def strike(self, pid: int) -> None:
        """Act on the connection of backend ``pid``."""
        try:
            self.struck = self.act is None or await self.act(pid)
        finally:
            self.over.set()

    def take(self, moment: Moment) -> bool:
        """Tell whether this is the one that is meant; True once only."""
        if self._taken or moment is not self.moment:
            return False
        self._taken = True
        return True


class Gate(Relay):
    """Passes bytes between one server and the database, listens on ``host``; ``pass_bytes`` cleared: nothing passes."""

    def __init__(self, url: str, host: str) -> None:
        super().__init__(url, host)
        self.pass_bytes = asyncio.Event()
        self.pass_bytes.set()
        self.ambushes: list[Ambush] = []

    async def connect(self, caller: Stream, database: Stream) -> None:
        """Pass bytes both ways until either side ends or an ambush cuts them off."""
        passage = _Passage(self, database.writer, caller.writer)
        with suppress(ExceptionGroup):  # either side ended: so does the other
            async with asyncio.TaskGroup() as both:
                both.create_task(passage.to_database(caller.reader))
                both.create_task(passage.to_server(database.reader))


class _Passage:
    """One connection through the gate."""

    def __init__(self, gate: Gate, database: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._gate = gate
        self._database = database
        self._server = server
        self._commits = FlushCommits()
        self._pid = 0

    async def to_database(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._gate.pass_bytes.wait()
            commits = self._commits.sends(data)
            if commits and (ambush := self._sprung(Moment.BEFORE_COMMIT)):
                await self._strike(ambush)
            self._database.write(data)
            if commits and (ambush := self._sprung(Moment.DURING_COMMIT)):
                await self._strike(ambush)
            await self._database.drain()
        raise EOFError

    async def to_server(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._gate.pass_bytes.wait()
            if not self._pid and (at := data.find(_BACKEND_KEY)) >= 0:
                (self._pid,) = struct.unpack_from(">i", data, at + len(_BACKEND_KEY))
            if self._commits.answers(data) and (ambush := self._sprung(Moment.AFTER_COMMIT)):
                await self._strike(ambush)
            self._server.write(data)
            await self._server.drain()
        raise EOFError

    def _sprung(self, moment: Moment) -> Ambush | None:
        return next((ambush for ambush in self._gate.ambushes if ambush.take(moment)), None)

    async def _strike(self, ambush: Ambush) -> None:
        # A task of its own: the backend that it ends takes this connection with it.
        await asyncio.shield(asyncio.ensure_future(ambush.strike(self._pid)))
        if ambush.act is None:
            raise EOFError
