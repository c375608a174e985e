"""A target that is not there, or is something else, is named with the cause; its points are certainly not stored."""

import asyncio
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.client import Client, ClientFullError, FlushTimeoutError, PointsFailedError
from ingestor.client.attempts import Attempts, Status
from ingestor.client.connection import Connection
from ingestor.client.sender import Sender, Verdict
from support.client import Retries, one_request
from support.tls import make_certificates

MIB = 1024 * 1024


@pytest.fixture
def retries() -> Retries:
    return Retries()


SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An empty SETTINGS frame: after it gRPC takes a connection for ready."""

Answer = Callable[[socket.socket], None]


class Server(socketserver.ThreadingTCPServer):
    """Does not wait for what it serves: gRPC may be late to close a connection."""

    daemon_threads = True
    block_on_close = False


@contextmanager
def listening(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve something that is no ingestor, in threads; yield its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(60)
            with suppress(OSError):
                if tls is None:
                    answer(self.request)
                else:
                    with tls.wrap_socket(self.request, server_side=True) as encrypted:
                        answer(encrypted)

    with Server(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def http1(connection: socket.socket) -> None:
    connection.recv(1_000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def closing(_: socket.socket) -> None:
    return


def silent(connection: socket.socket) -> None:
    while connection.recv(1_000):
        pass


async def trouble(client: Client) -> str:
    """Return what a flush that takes too long says."""
    with pytest.raises(FlushTimeoutError) as late:
        await client.flush(0.01)
    return str(late.value)


async def check_unsent(target: str, cause: str) -> None:
    """Record a point for ``target`` and expect to be told each time that it was not sent, and why."""
    with pytest.raises(PointsFailedError) as failed:
        async with Client(target, close_timeout_s=0.1, full_timeout_s=0.1, max_pending_bytes=4 * MIB) as client:
            await client.record("service", "metric", 1)
            async with asyncio.timeout(60):
                while cause not in await trouble(client):
                    pass
            with pytest.raises(ClientFullError, match=cause):
                for number in range(10):
                    await client.record("service", f"m{number}", 1, labels={"label": "x" * 900_000})
    assert [failure.status for failure in failed.value.failures] == ["CLOSED"]
    assert not failed.value.failures[0].may_be_stored
    assert cause in str(failed.value)
    assert target in str(failed.value)
    assert str(failed.value).endswith("not stored")


def unused_target() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


async def test_a_port_where_nobody_listens() -> None:
    await check_unsent(unused_target(), "Connection refused")


async def test_a_name_that_nobody_has() -> None:
    await check_unsent("name.invalid:50051", "name.invalid")


async def test_a_server_of_another_protocol() -> None:
    with listening(http1) as target:
        await check_unsent(target, "http1")


async def test_something_that_closes_the_connection() -> None:
    with listening(closing) as target:
        await check_unsent(target, "without TLS")


async def test_a_server_that_wants_tls(tmp_path: Path) -> None:
    certificates = await make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.server, certificates.key)
    with listening(silent, tls) as target:
        await check_unsent(target, "without TLS")


async def test_something_that_says_nothing() -> None:
    with listening(silent) as target:
        await check_unsent(target, "there is no connection to")


PROGRAM = """
import asyncio, sys
from ingestor.client.connection import Connection
from ingestor.client.attempts import Attempts
from support.client import one_request

async def main():
    connection = Connection(sys.argv[1])
    print(await connection.call(one_request(), (), 20.0, Attempts(lambda *_: None)))

asyncio.run(main())
"""


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_a_proxy_is_not_asked_for_this_machine(variable: str) -> None:
    with listening(http1) as target, listening(http1) as proxy:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, target),
            env=os.environ | {variable: f"http://{proxy}", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert target in output.decode()
    assert proxy not in output.decode()
    assert "proxy" not in output.decode().lower()


async def test_time_up_without_a_connection_is_certain(retries: Retries) -> None:
    target = unused_target()
    async with Sender(target, give_up_after_s=0.3) as sender:
        outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.verdict, outcome.status, outcome.may_be_stored) == (Verdict.GIVEN_UP, "UNAVAILABLE", False)
    assert f"nothing could be sent to {target} (without TLS): " in outcome.message


@pytest.mark.parametrize("size_bytes", [10, 3 * MIB])
@pytest.mark.parametrize("read_bytes", [1, 100])
async def test_a_connection_that_breaks_while_sending_may_have_stored(size_bytes: int, read_bytes: int) -> None:
    def breaking(connection: socket.socket) -> None:
        connection.sendall(SETTINGS)
        connection.recv(read_bytes, socket.MSG_WAITALL)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with listening(breaking) as target:
        for _ in range(20):
            connection, attempts = Connection(target), Attempts(lambda *_: None)
            attempts.may_be_stored = False
            request = replace(one_request(), payload=bytes(size_bytes))
            status = await connection.call(request, (), 20.0, attempts)
            await connection.close()
            assert isinstance(status, Status)
            assert status.is_retryable
            assert attempts.may_be_stored or "nothing could be sent" in status.message
