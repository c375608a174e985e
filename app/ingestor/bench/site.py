"""Where measurements run: schemas of their own, emptied before each run, and server processes."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import asyncpg

from ingestor.local.tether import tie_process
from ingestor.schema.spec import IndexName
from ingestor.storage.copy_format import COLUMNS

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 30.0
_COMMAND_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Store:
    """Where one measurement writes: a schema with one index, and who may do what there; the URLs hold passwords."""

    index: IndexName
    schema: str
    admin_url: str = field(repr=False)
    writer_url: str = field(repr=False)

    async def empty(self) -> None:
        """Remove all points and keys, and begin with a checkpoint."""
        connection = await asyncpg.connect(self.admin_url, command_timeout=_COMMAND_TIMEOUT_S)
        try:
            tables = ", ".join(f'"{self.schema}".{name}' for name in ("samples", "ledger", "rejects"))
            await connection.execute(f"TRUNCATE {tables}")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    async def count(self) -> int:
        """Return how many points are stored."""
        connection = await asyncpg.connect(self.admin_url, command_timeout=_COMMAND_TIMEOUT_S)
        try:
            return int(await connection.fetchval(f'SELECT count(*) FROM "{self.schema}".samples'))
        finally:
            await connection.close()

    async def replay(self, buffers: list[memoryview], connections: int = 2) -> None:
        """COPY pre-encoded streams over so many connections: the physical limit L1 of the design."""
        waiting = list(reversed(buffers))

        async def work() -> None:
            connection = await asyncpg.connect(self.writer_url, command_timeout=_COMMAND_TIMEOUT_S)
            try:
                while waiting:
                    await connection.copy_to_table(
                        "samples",
                        source=waiting.pop(),  # type: ignore[arg-type]  # asyncpg takes memoryviews, its stubs do not
                        schema_name=self.schema,
                        columns=COLUMNS,
                        format="binary",
                    )
            finally:
                await connection.close()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(work())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running server."""

    pid: int
    grpc_port: int
    http_port: int

    async def flushes(self) -> tuple[float, float]:
        """Return the rows and the number of flushes so far."""
        url = f"http://127.0.0.1:{self.http_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = await response.text()
        rows, count = (re.search(rf"^ingestor_flush_rows_{name} (\S+)", text, re.M) for name in ("sum", "count"))
        return (float(rows.group(1)), float(count.group(1))) if rows and count else (0.0, 0.0)


@asynccontextmanager
async def serving(store: Store, environment: Mapping[str, str], **settings: str) -> AsyncIterator[Endpoint]:
    """Run ``ingestor serve`` on free ports of the loopback address, with settings beside the default ones."""
    variables = {
        "INGESTOR_DATABASE_URL": store.writer_url,
        "INGESTOR_DATABASE_SCHEMA": store.schema,
        "INGESTOR_GRPC_HOST": "127.0.0.1",
        "INGESTOR_HTTP_HOST": "127.0.0.1",
        "INGESTOR_GRPC_PORT": "0",
        "INGESTOR_HTTP_PORT": "0",
        "INGESTOR_LOG_FORMAT": "json",
        **{f"INGESTOR_{name.upper()}": value for name, value in settings.items()},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingestor", "serve", stderr=asyncio.subprocess.PIPE, env={**environment, **variables}
    )
    assert process.stderr is not None
    tether = tie_process(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while line := (await process.stderr.readline()).decode():
                found = re.search(r'"serving".*"grpc_port": (\d+), "http_port": (\d+)', line)
                if found:
                    break
            else:
                raise RuntimeError("the server ended before it served")
        yield Endpoint(process.pid, int(found.group(1)), int(found.group(2)))
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
        tether.release()


@asynccontextmanager
async def module(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module of this package until the body ends; it stops when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"ingestor.bench.{name}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()


@asynccontextmanager
async def listening(name: str) -> AsyncIterator[int]:
    """Run a module of this package that prints its port first, and give that port."""
    async with module(name) as process:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
