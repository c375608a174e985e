"""A target that gRPC would take for something else is refused when the client is made."""

import pytest

from ingestor.client import Client
from ingestor.client.target import is_on_this_machine


@pytest.mark.parametrize(
    "target",
    [
        "localhost:50051",
        "dns:///metrics-headless:50051",
        "dns://10.0.0.2/metrics-headless:50051",
        "10.0.0.1:50051",
        "[::1]:50051",
        "ipv6:[::1]:50051",
        "unix:///run/ingestor.sock",
        "unix:/run/ingestor:99999",
        "xds:///metrics",
    ],
)
def test_targets_of_grpc_are_taken(target: str) -> None:
    Client(target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "target must be host:port"),
        (" localhost:50051", "target must be host:port"),
        ("localhost:50051\n", "target must be host:port"),
        ("http://localhost:50051", "without http://"),
        ("https://localhost:50051", "without https://"),
        ("grpc://localhost:50051", "without grpc://"),
        ("localhost:99999", "a port is from 1 to 65535"),
        ("dns:///localhost:0", "a port is from 1 to 65535"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_words(target: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Client(target)


@pytest.mark.parametrize(
    "target",
    [
        *("localhost:50051", "LOCALHOST:1", "localhost.:1", "localhost", "dns:///localhost:1", "dns:localhost:1"),
        *("127.0.0.1:50051", "127.8.8.8:1", "ipv4:127.0.0.1:1", "[::1]:50051", "ipv6:[::1]:1", "dns:///[::1]:1"),
    ],
)
def test_targets_on_this_machine_are_known(target: str) -> None:
    assert is_on_this_machine(target)


@pytest.mark.parametrize(
    "target",
    ["metrics:50051", "localhost.example.org:1", "10.0.0.1:1", "[fe80::1]:1", "dns:///metrics:1", "unix:/run/ingestor"],
)
def test_others_are_not(target: str) -> None:
    assert not is_on_this_machine(target)
