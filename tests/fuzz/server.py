"""Messages and metadata that libFuzzer makes up, at a real server: OK or the client's fault, never a fault of ours."""

import asyncio
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

# libFuzzer's own process starts PostgreSQL and the server beside gRPC's threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import atheris
import grpc

from fuzz.corpus import write_corpus
from ingestor.local import default_cache
from support.database import start_database_server
from support.scrape import check_balance, scrape
from support.service import SERVICE, service_process

CALL_TIMEOUT_S = 20.0
_FINE = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
_WHEN_BUSY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}


class Target:
    """Sends one input as one call and judges the status."""

    def __init__(self, port: int) -> None:
        self.codes: Counter[str] = Counter()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._calls = [channel.unary_unary(f"{SERVICE}/{name}", None, None) for name in ("Write", "LogMetric")]

    def send(self, data: bytes) -> None:
        """Take the first byte for method and metadata, the others for the message."""
        choice = data[0] if data else 0
        metadata: list[tuple[str, str | bytes]] = []
        if choice & 2:
            metadata.append(("x-idempotency-key", data[1:37].hex()[: choice >> 2]))
        if choice & 4:
            metadata.append(("x-ack", "buffered" if choice & 8 else data[1:9].hex()))
        try:
            self._calls[choice & 1](data[1:], timeout=CALL_TIMEOUT_S, metadata=tuple(metadata))
            code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            code = error.code()
        self.codes[code.name] += 1
        if code not in _FINE | _WHEN_BUSY:
            raise AssertionError(f"{code.name} for {data!r}")


async def _fuzz() -> None:
    database_server = await start_database_server(default_cache(os.environ.get("XDG_CACHE_HOME")))
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with (
                database_server.clone() as database,
                service_process(database.writer_url, Path(folder) / "log") as service,
            ):
                target = Target(service.grpc_port)
                atheris.Setup([*sys.argv, "-rss_limit_mb=0", str(write_corpus("server"))], target.send)
                await asyncio.to_thread(_run_until_done)
                check_balance(await scrape(service.http_port))
                assert '"a call failed by a fault of ours"' not in (Path(folder) / "log").read_text()
                sys.stderr.write(f"{dict(target.codes)}, the accounts balance\n")
    finally:
        await database_server.server.stop("immediate")


def _run_until_done() -> None:
    atheris.Fuzz()


if __name__ == "__main__":
    asyncio.run(_fuzz())
