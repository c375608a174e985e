"""A TCP proxy before PostgreSQL that breaks connections around COMMIT, where the outcome becomes unknown."""

import asyncio

from support.commits import FlushCommits
from support.eventually import HANG_S
from support.relay import Relay, Stream


class CommitProxy(Relay):
    """Passes bytes both ways; one COMMIT of a flush can be broken, before or after the database has it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._break: bool | None = None
        self._hold = False
        self._done = asyncio.Event()
        self._released = asyncio.Event()
        self.broken = 0

    def break_next_commit(self, *, let_through: bool) -> None:
        """Cut the next connection that sends a flush's COMMIT, after the database has done it or before it gets it."""
        self._break = let_through

    def hold_commit_replies(self) -> None:
        """Keep the database's answers to COMMIT from the client until ``release``."""
        self._hold = True

    async def commit_done(self) -> None:
        """Wait until the database has answered a COMMIT."""
        async with asyncio.timeout(HANG_S):
            await self._done.wait()

    def release(self) -> None:
        """Let answers pass again."""
        self._hold = False
        self._released.set()

    async def connect(self, caller: Stream, database: Stream) -> None:
        """Pass bytes both ways until either side ends or a COMMIT is broken."""
        commits = FlushCommits()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._to_database(caller.reader, database.writer, commits))
                both.create_task(self._to_client(database.reader, caller.writer, commits))
        except* (ConnectionError, EOFError):
            pass

    async def _to_database(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commits: FlushCommits
    ) -> None:
        while data := await reader.read(1 << 16):
            if commits.sends(data) and self._break is False:
                self._cut()
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commits: FlushCommits
    ) -> None:
        while data := await reader.read(1 << 16):
            if commits.answers(data):
                self._done.set()
                if self._break is True:
                    self._cut()
                if self._hold:
                    await self._released.wait()
            writer.write(data)
            await writer.drain()
        raise EOFError

    def _cut(self) -> None:
        self._break = None
        self.broken += 1
        raise EOFError
