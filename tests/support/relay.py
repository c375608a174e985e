"""A TCP listener before a database; what becomes of the bytes of each connection is for others to say."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit


class Stream(NamedTuple):
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Relay(ABC):
    """Listens on a free port of ``host`` and connects each caller to the database of ``url``.

    ``self.url`` is the database's URL through it, once it is entered.
    """

    def __init__(self, url: str, host: str = "127.0.0.1") -> None:
        self._target = urlsplit(url)
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @abstractmethod
    async def connect(self, caller: Stream, database: Stream) -> None:
        """Pass bytes both ways until the connection shall end; both ends are cut then."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._target._replace(netloc=f"{credentials}@{self._host}:{port}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            database = Stream(*await asyncio.open_connection(self._target.hostname, self._target.port))
        except OSError:  # nobody listens there, so nobody is let in
            writer.transport.abort()
            self._tasks.discard(task)
            return
        try:
            await self.connect(Stream(reader, writer), database)
        finally:
            writer.transport.abort()
            database.writer.transport.abort()
            self._tasks.discard(task)
