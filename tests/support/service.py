"""A real server for tests: in this process, or in one of its own that can be killed; and plain clients of it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import grpc
from google.rpc import error_details_pb2, status_pb2

from analytics.v1 import ingestor_pb2 as pb
from ingestor.config import load_settings
from ingestor.runtime import Runtime
from support.eventually import HANG_S

SERVICE = "/analytics.v1.AnalyticsService"

Metadata = Sequence[tuple[str, str]]


class Client:
    """Calls both methods; requests may be messages or raw bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._log_metric: Any = channel.unary_unary(
            f"{SERVICE}/LogMetric",
            request_serializer=_serialize,
            response_deserializer=pb.LogMetricsResponse.FromString,
        )
        self._write: Any = channel.unary_unary(
            f"{SERVICE}/Write", request_serializer=_serialize, response_deserializer=pb.WriteResponse.FromString
        )

    async def log_metric(
        self, request: pb.LogMetricsRequest | bytes, metadata: Metadata = (), timeout_s: float = HANG_S
    ) -> pb.LogMetricsResponse:
        """Send one point."""
        reply: pb.LogMetricsResponse = await self._log_metric(request, metadata=tuple(metadata), timeout=timeout_s)
        return reply

    async def write(
        self, request: pb.WriteRequest | bytes, metadata: Metadata = (), timeout_s: float = HANG_S
    ) -> pb.WriteResponse:
        """Send many points."""
        reply: pb.WriteResponse = await self._write(request, metadata=tuple(metadata), timeout=timeout_s)
        return reply


@dataclass(frozen=True)
class Service:
    """Where a server listens, and a client of it."""

    grpc_port: int
    http_port: int
    client: Client


@asynccontextmanager
async def client_of(port: int, options: Sequence[tuple[str, int]] = ()) -> AsyncIterator[Client]:
    """Connect to a server on this machine."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*options]) as channel:
        yield Client(channel)


@asynccontextmanager
async def running_service(writer_url: str, **settings: object) -> AsyncIterator[Service]:
    """Run a server in this event loop and drain it at the end."""
    runtime = Runtime(
        load_settings(
            database_url=writer_url,
            **{"grpc_host": "127.0.0.1", "http_host": "127.0.0.1", "grpc_port": 0, "http_port": 0} | settings,
        )
    )
    stop = asyncio.Event()
    task = asyncio.create_task(runtime.run(stop))
    try:
        serving = asyncio.create_task(runtime.serving.wait())
        await asyncio.wait([serving, task], timeout=HANG_S, return_when=asyncio.FIRST_COMPLETED)
        assert serving.done(), f"not serving: {task}"
        async with client_of(runtime.grpc.port) as client:
            yield Service(runtime.grpc.port, runtime.http.port, client)
    finally:
        stop.set()
        async with asyncio.timeout(HANG_S):
            await task


class ServiceProcess:
    """``ingestor serve`` as a process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, grpc_port: int, http_port: int) -> None:
        self.process = process
        self.log = log
        self.grpc_port = grpc_port
        self.http_port = http_port

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.send_signal(signal.SIGKILL)

    async def terminate(self, timeout_s: float = HANG_S) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), timeout_s)


@asynccontextmanager
async def service_process(writer_url: str, log: Path, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Run a server as a process of its own; it is killed at the end where it still runs."""
    wanted = {"grpc_host": "127.0.0.1", "http_host": "127.0.0.1", "grpc_port": 0, "http_port": 0, "log_format": "json"}
    variables = {f"INGESTOR_{name.upper()}": str(value) for name, value in (wanted | settings).items()}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ingestor",
            "serve",
            stderr=output,
            stdout=output,
            env=os.environ | variables | {"INGESTOR_DATABASE_URL": writer_url},
        )
    try:
        yield await _wait_until_serving(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _wait_until_serving(process: asyncio.subprocess.Process, log: Path) -> ServiceProcess:
    async with asyncio.timeout(HANG_S):
        while process.returncode is None:
            found = re.search(r'"serving".*"grpc_port": (\d+), "http_port": (\d+)', log.read_text())
            if found:
                return ServiceProcess(process, log, int(found.group(1)), int(found.group(2)))
            await asyncio.sleep(0.02)
    raise AssertionError(f"the server ended: {log.read_text()}")


async def http_status(http_port: int, path: str) -> int:
    """Return the status of one endpoint."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{http_port}{path}") as response:
        return response.status


def status_details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the rich status of an error, empty where it has none."""
    for name, value in cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ()):
        if name == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def retry_info(error: grpc.aio.AioRpcError) -> float | None:
    """Return the pause that an error advises, in seconds, None where it advises none."""
    for detail in status_details(error).details:
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            info = error_details_pb2.RetryInfo()
            detail.Unpack(info)
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


def violations(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Return the field violations of an error as pairs of field and reason."""
    for detail in status_details(error).details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            request = error_details_pb2.BadRequest()
            detail.Unpack(request)
            return [(violation.field, violation.reason) for violation in request.field_violations]
    return []


def error_reason(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in an error's ErrorInfo, empty where it has none."""
    for detail in status_details(error).details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            return str(info.reason)
    return ""


def _serialize(request: pb.LogMetricsRequest | pb.WriteRequest | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
