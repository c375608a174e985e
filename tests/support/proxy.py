"""A TCP proxy before PostgreSQL that breaks connections around COMMIT, where the outcome becomes unknown."""

import asyncio
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_COMMIT_DONE = b"C\x00\x00\x00\x0bCOMMIT\x00"


class CommitProxy:
    """Passes bytes both ways; one COMMIT can be broken, before or after the database has it."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._break: bool | None = None
        self._hold = False
        self._done = asyncio.Event()
        self._released = asyncio.Event()
        self.broken = 0
        self.url = ""

    async def __aenter__(self) -> "CommitProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def break_next_commit(self, *, let_through: bool) -> None:
        """Cut the next connection that sends COMMIT, after the database has done it or before it gets it."""
        self._break = let_through

    def hold_commit_replies(self) -> None:
        """Keep the database's answers to COMMIT from the client until ``release``."""
        self._hold = True

    async def commit_done(self) -> None:
        """Wait until the database has answered a COMMIT."""
        async with asyncio.timeout(20):
            await self._done.wait()

    def release(self) -> None:
        """Let answers pass again."""
        self._hold = False
        self._released.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream_reader, upstream_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._to_database(reader, upstream_writer))
                both.create_task(self._to_client(upstream_reader, writer))
        except* (ConnectionError, EOFError):
            pass
        finally:
            writer.transport.abort()
            upstream_writer.transport.abort()
            self._tasks.discard(task)

    async def _to_database(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self._break is False and data == _COMMIT:
                self._cut()
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if _COMMIT_DONE in data:
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
