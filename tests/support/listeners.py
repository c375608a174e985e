"""What listens: the service and the operator's endpoints on one host, reached at the loopback addresses.

``python -m support.listeners HOST ADDRESS…`` fails unless gRPC and HTTP of a server on HOST answer at each ADDRESS.
"""

import asyncio
import subprocess
import sys

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from ingestor.listening import host_port
from ingestor_operator.http import HttpServer
from support.service import running_service

NO_DATABASE = "postgresql://writer@127.0.0.1:1/none"
TIMEOUT_S = 20.0

_LOOPBACK = "ip link set lo up"
NETWORKS = {
    "own": "",
    "ipv4": f"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; {_LOOPBACK}",
    "ipv6": f"{_LOOPBACK}; ip address flush dev lo; ip address add ::1/128 dev lo",
}
"""Shell commands that leave a new network namespace with one family alone; ``own`` is the machine's own network."""


def can_make_networks() -> bool:
    """Return True if this process may make network namespaces."""
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


async def reach_service(host: str, *addresses: str, **settings: object) -> None:
    """Run a server on ``host`` and call it at each address.

    Raises:
        OSError, grpc.RpcError: it does not answer.
    """
    hosts = {"grpc_host": host, "http_host": host} | settings
    async with running_service(NO_DATABASE, **hosts) as service:
        for address in addresses:
            await _get(address, service.http_port, "/readyz")
            async with grpc.aio.insecure_channel(host_port(address, service.grpc_port)) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                reply = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
                assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def reach_operator(host: str, *addresses: str) -> None:
    """Run the operator's endpoints on ``host`` and call them at each address.

    Raises:
        OSError: they do not answer.
    """
    server = HttpServer(host, 0, CollectorRegistry(), list, lambda: True)
    await server.start()
    try:
        for address in addresses:
            await _get(address, server.port, "/healthz")
    finally:
        await server.stop()


async def _get(address: str, port: int, path: str) -> None:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    url = f"http://{host_port(address, port)}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, timeout=timeout) as reply:
        assert reply.status == 200


async def _main(host: str, *addresses: str) -> None:
    await reach_service(host, *addresses)
    await reach_operator(host, *addresses)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
