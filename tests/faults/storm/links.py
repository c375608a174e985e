"""How the servers reach the database and are reached: by network namespaces of their own, or over loopback."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from faults.storm.gate import Gate
from ingestor.local.account import current_account
from ingestor.local.processes import CommandRunner

COMMAND_TIMEOUT_S = 20.0
_LOOPBACK = "127.0.0.1"
_GRPC_PORT, _HTTP_PORT = 50051, 9090
_BLOCK = 64
"""Addresses of one storm: four for each of two links of up to eight servers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs: what its command begins with, its address, and its gate to the database."""

    prefix: tuple[str, ...]
    host: str
    grpc_port: int
    http_port: int
    gate: Gate


class Links(Protocol):
    """The network of a storm."""

    places: list[Place]

    async def cut(self, server: int) -> None:
        """Let nothing pass between a server and the database, without a word to either."""

    async def mend(self, server: int) -> None:
        """Let it pass again."""


def may_make_namespaces() -> bool:
    """Tell whether this process has the rights."""
    return os.geteuid() == 0


@asynccontextmanager
async def loopback_links(url: str, servers: int) -> AsyncIterator[Links]:
    """Run everything on loopback; a cut link is a proxy that passes nothing."""
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(Gate(url, _LOOPBACK)) for _ in range(servers)]
        yield _Loopback([Place((), _LOOPBACK, _free_port(), _free_port(), gate) for gate in gates])


@asynccontextmanager
async def namespace_links(url: str, servers: int, token: str) -> AsyncIterator[Links]:
    """Give each server a namespace with two links, one to its clients and one to the database, removed in the end."""
    links = _Namespaces(token)
    async with AsyncExitStack() as stack:
        for number in range(servers):
            stack.push_async_callback(links.remove, number)
            host, database_host = await links.make(number)
            gate = await stack.enter_async_context(Gate(url, database_host))
            prefix = ("ip", "netns", "exec", links.name(number))
            links.places.append(Place(prefix, host, _GRPC_PORT, _HTTP_PORT, gate))
        yield links


class _Loopback:
    def __init__(self, places: list[Place]) -> None:
        self.places = places

    async def cut(self, server: int) -> None:
        self.places[server].gate.pass_bytes.clear()

    async def mend(self, server: int) -> None:
        self.places[server].gate.pass_bytes.set()


class _Namespaces:
    """Names and addresses carry the process number, so that two storms do not meet."""

    def __init__(self, token: str) -> None:
        self.places: list[Place] = []
        self._token = token
        self._run = CommandRunner(current_account())

    def name(self, number: int) -> str:
        return f"storm-{self._token}-{number}"

    async def make(self, number: int) -> tuple[str, str]:
        """Make a namespace and return the server's address and the database's as the server sees it."""
        name = self.name(number)
        await self._ip("netns", "add", name)
        await self._ip("-n", name, "link", "set", "lo", "up")
        ends = []
        for link in ("clients", "database"):
            here, there = self._addresses(number, link)
            outer = self._outer(number, link)
            await self._ip("link", "add", outer, "type", "veth", "peer", "name", link, "netns", name)
            await self._ip("address", "add", f"{here}/30", "dev", outer)
            await self._ip("-n", name, "address", "add", f"{there}/30", "dev", link)
            await self._ip("link", "set", outer, "up")
            await self._ip("-n", name, "link", "set", link, "up")
            ends.append((here, there))
        return ends[0][1], ends[1][0]

    async def remove(self, number: int) -> None:
        name = self.name(number)
        if name in (await self._run("ip", "netns", "list", timeout_s=COMMAND_TIMEOUT_S)).stdout.split():
            await self._ip("netns", "delete", name)  # the links go with it

    async def cut(self, server: int) -> None:
        # This end: the server's has no carrier then, and what it sends is lost without an error.
        await self._ip("link", "set", self._outer(server, "database"), "down")

    async def mend(self, server: int) -> None:
        await self._ip("link", "set", self._outer(server, "database"), "up")

    def _outer(self, number: int, link: str) -> str:
        return f"st{self._token}{number}{link[0]}"

    def _addresses(self, number: int, link: str) -> tuple[str, str]:
        """Return our and the server's address: of 198.18.0.0/15, which is set aside for tests (RFC 2544)."""
        first = (os.getpid() % 2000) * _BLOCK + number * 8 + (4 if link == "database" else 0)
        parts = [(first + n) for n in (1, 2)]
        here, there = (f"198.{18 + (n >> 16)}.{(n >> 8) & 255}.{n & 255}" for n in parts)
        return here, there

    async def _ip(self, *words: str) -> None:
        await self._run("ip", *words, timeout_s=COMMAND_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
