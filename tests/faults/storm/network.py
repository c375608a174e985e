"""The way from the servers to the database, and how it is cut.

As root the servers live in a network namespace with two links: one to the clients, one to a relay before the database,
which can be set down. Without root there is the relay alone, which can stop passing bytes on.
"""

import asyncio
import os
import shutil
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 1 << 16


class Relay:
    """Passes bytes between the servers and the database; while it is frozen nothing passes and nothing is closed."""

    def __init__(self, database_url: str) -> None:
        self._target = urlsplit(database_url)
        self._flows: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> str:
        """Listen on a free port of ``host`` and return the database's URL through it."""
        self._server = await asyncio.start_server(self._serve, host, 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@{host}:{port}"))

    def freeze(self) -> None:
        """Hold all bytes back."""
        self._open.clear()

    def thaw(self) -> None:
        """Let them pass again."""
        self._open.set()

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for flow in self._flows:
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._flows.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            from_database, upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, upstream))
                both.create_task(self._pass(from_database, writer))
        except* (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()
            self._flows.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        raise EOFError


class Network:
    """Where servers run, and the link between them and the database."""

    def __init__(self, database_url: str) -> None:
        self.isolated = os.geteuid() == 0 and shutil.which("ip") is not None
        self._relay = Relay(database_url)
        self._name = f"storm-{os.getpid()}"
        part = os.getpid() % 120 * 2
        self._front, self._back = f"10.213.{part}", f"10.213.{part + 1}"
        self._links = (f"sf{os.getpid()}", f"sb{os.getpid()}")
        self.database_url = ""

    @property
    def description(self) -> str:
        """Say which way the link is cut."""
        return (
            f"network namespace {self._name}"
            if self.isolated
            else "a relay (no network namespace: not root, or `ip` is missing)"
        )

    @property
    def host(self) -> str:
        """Return the address at which servers are reached."""
        return f"{self._front}.2" if self.isolated else "127.0.0.1"

    def inside(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs ``command`` where the servers run."""
        return ("ip", "netns", "exec", self._name, *command) if self.isolated else command

    async def __aenter__(self) -> Self:
        if self.isolated:
            await asyncio.to_thread(self._make)
        self.database_url = await self._relay.start(f"{self._back}.1" if self.isolated else "127.0.0.1")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._relay.stop()
        if self.isolated:
            await asyncio.to_thread(self._remove)

    async def cut(self, seconds: float) -> None:
        """Take the link away for so long; connections are neither closed nor reset."""
        await self._set_link("down")
        self._relay.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._relay.thaw()
            await self._set_link("up")

    async def _set_link(self, state: str) -> None:
        if self.isolated:
            await asyncio.to_thread(_ip, "link", "set", self._links[1], state)

    def _make(self) -> None:
        _ip("netns", "add", self._name)
        try:
            for link, network in zip(self._links, (self._front, self._back), strict=True):
                _ip("link", "add", link, "type", "veth", "peer", "name", "eth", "netns", self._name)
                _ip("-n", self._name, "link", "set", "eth", "name", f"{link}i")
                _ip("address", "add", f"{network}.1/30", "dev", link)
                _ip("-n", self._name, "address", "add", f"{network}.2/30", "dev", f"{link}i")
                _ip("link", "set", link, "up")
                _ip("-n", self._name, "link", "set", f"{link}i", "up")
            _ip("-n", self._name, "link", "set", "lo", "up")
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        for link in self._links:
            with suppress(subprocess.CalledProcessError):
                _ip("link", "delete", link)
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "delete", self._name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
