"""Service and operator listen on what their hosts name, on both families by default, and say why they can't."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from ingestor.config import Settings
from ingestor.errors import ConfigurationError
from ingestor.listening import find_addresses, listen
from ingestor_operator.config import Settings as OperatorSettings
from support.listeners import NETWORKS, can_make_networks, reach_operator, reach_service

DEFAULT = Settings.model_fields["http_host"].default
Reach = Callable[..., Awaitable[None]]

both_servers = pytest.mark.parametrize("reach", [reach_service, reach_operator])


def test_all_hosts_have_one_default() -> None:
    defaults = [Settings.model_fields["grpc_host"].default, OperatorSettings.model_fields["http_host"].default]
    assert defaults == [DEFAULT, DEFAULT]


@both_servers
@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        (DEFAULT, ["127.0.0.1", "::1"]),
        ("::", ["127.0.0.1", "::1"]),
        ("[::]", ["127.0.0.1", "::1"]),
        ("0.0.0.0", ["127.0.0.1", "::1"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("[::1]", ["::1"]),
        ("localhost", ["localhost"]),
    ],
)
async def test_it_answers_at_each_address_of_its_host(reach: Reach, host: str, addresses: list[str]) -> None:
    await reach(host, *addresses)


@both_servers
async def test_an_address_is_not_every_address(reach: Reach) -> None:
    with pytest.raises(aiohttp.ClientConnectorError, match=r"Cannot connect to host 127\.0\.0\.1"):
        await reach("::1", "127.0.0.1")


# If namespaces can't be made, the test below this one is all there is of machines of one family.
@pytest.mark.parametrize("network", [*NETWORKS] if can_make_networks() else ["own"])
@pytest.mark.parametrize("host", [DEFAULT, "0.0.0.0"])
async def test_the_default_works_on_machines_of_one_family(network: str, host: str) -> None:
    address = "::1" if network == "ipv6" else "127.0.0.1"
    call = f"{NETWORKS[network]}\nexec {sys.executable} -m support.listeners {host} {address}"
    apart = () if network == "own" else ("unshare", "--net")
    process = await asyncio.create_subprocess_exec(
        *(*apart, "sh", "-ec", call),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()


def test_a_kernel_without_ipv6_has_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = -1, *arguments: int, **named: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *arguments, **named)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    assert find_addresses(DEFAULT, 0, "INGESTOR_HTTP") == ["0.0.0.0"]
    with pytest.raises(ConfigurationError, match="this machine has no IPv6; correct INGESTOR_HTTP_HOST"):
        listen("::1", 0, "INGESTOR_HTTP")


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("203.0.113.9", "203.0.113.9:0: this machine does not have the address; correct INGESTOR_{}_HOST"),
        ("2001:db8::9", "[2001:db8::9]:0: this machine does not have the address; correct INGESTOR_{}_HOST"),
        ("no.such.host.invalid", "no address is known for this name; correct INGESTOR_{}_HOST"),
        ("a..b", "no address is known for this name; correct INGESTOR_{}_HOST"),
        ("127.0.0.1:80", "no address is known for this name; correct INGESTOR_{}_HOST"),
    ],
)
@both_servers
async def test_a_wrong_host_is_named_with_its_cause(reach: Reach, host: str, told: str) -> None:
    with pytest.raises(Exception, match="can't listen on") as caught:
        await reach(host)
    assert told.format("HTTP" if reach is reach_service else "OPERATOR_HTTP") in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        await reach_service(host, http_host="127.0.0.1")
    assert told.format("GRPC") in str(caught.value)


@pytest.mark.parametrize("holder", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_taken_port_is_named_whichever_family_has_it(holder: str) -> None:
    with listen(holder, 0, "INGESTOR_HTTP")[0] as held:
        port = held.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f":{port}: another process has the port; stop it, or set X_PORT"):
            listen(DEFAULT, port, "X")
        with pytest.raises(ConfigurationError, match=f":{port}: another process has the port"):
            find_addresses(DEFAULT, port, "X")


def test_a_port_that_needs_rights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unprivileged(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Unprivileged)
    with pytest.raises(ConfigurationError, match="may not take the port, below 1024 it needs a right of its own"):
        listen("127.0.0.1", 80, "INGESTOR_HTTP")


def test_all_addresses_of_a_name_get_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: two)
    sockets = listen("both", 0, "INGESTOR_HTTP")
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert len(sockets) == 2
    finally:
        for one in sockets:
            one.close()
