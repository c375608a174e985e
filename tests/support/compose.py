"""Run ``docker-compose.yaml`` with Debian's podman-compose and images that stand in for those of a registry.

`tests/compose/images` makes the stand-ins. Set a variable such as ``PROMETHEUS_IMAGE`` to run with another image.
"""

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from support.prometheus import Prometheus

Result = TypeVar("Result")

ROOT = Path(__file__).parents[2]
POLL_S = 0.5
IMAGES = {
    "INGESTOR_IMAGE": "localhost/analytics-ingestor:dev",
    "TIMESCALEDB_IMAGE": "localhost/stand-in/timescaledb:test",
    "PROMETHEUS_IMAGE": "localhost/stand-in/prometheus:test",
    "GRAFANA_IMAGE": "localhost/stand-in/grafana:test",
}
PORTS = ("TIMESCALEDB_PORT", "INGESTOR_GRPC_PORT", "INGESTOR_HTTP_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")


@dataclass(frozen=True, slots=True)
class Project:
    """One run of the compose file; ``ports`` are those of 127.0.0.1, by variable."""

    name: str
    ports: Mapping[str, int]

    @classmethod
    def with_free_ports(cls) -> "Project":
        """Return a project that is in nobody's way."""
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
        ports = {variable: held.getsockname()[1] for variable, held in zip(PORTS, sockets, strict=True)}
        for held in sockets:
            held.close()
        return cls(f"ingestor-test-{secrets.token_hex(3)}", ports)

    def up(self) -> None:
        """Start everything in the background, as the README's one command does."""
        for image in self._images().values():
            podman(["image", "exists", image])  # podman-compose 1.0 goes on without the service whose image is missing
        self._compose(["up", "--detach"], timeout_s=180)

    def remove(self) -> None:
        """Take everything down with its data, the networks too, which podman-compose 1.0 leaves."""
        label = f"label=io.podman.compose.project={self.name}"
        try:
            self._compose(["down", "--volumes", "--timeout", "10"], timeout_s=120)
        finally:
            for kind, remove in (
                ("ps --all", "rm --force --volumes"),
                ("volume ls", "volume rm --force"),
                ("network ls", "network rm --force"),
            ):
                left = podman([*kind.split(), "--quiet", "--filter", label]).split()
                if left:
                    podman([*remove.split(), *left])

    def container(self, service: str) -> str:
        """Return the name of the service's container."""
        return f"{self.name}_{service}_1"

    def inspect(self, service: str) -> Any:
        """Return what podman knows of the service's container."""
        return json.loads(podman(["inspect", self.container(service)]))[0]

    def logs(self, service: str) -> str:
        """Return what the service printed."""
        return podman(["logs", self.container(service)])

    @property
    def prometheus(self) -> Prometheus:
        """Return its Prometheus."""
        return Prometheus(self.ports["PROMETHEUS_PORT"])

    def get(self, port: str, path: str) -> Any:
        """Return the JSON that is served under ``path``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=5) as response:
            return json.loads(response.read())

    @staticmethod
    def _images() -> dict[str, str]:
        return {variable: os.environ.get(variable, image) for variable, image in IMAGES.items()}

    def _compose(self, arguments: Sequence[str], timeout_s: float) -> None:
        command = ["podman-compose", "-p", self.name, "-f", "docker-compose.yaml", *arguments]
        variables = {**os.environ, **self._images(), **{name: str(port) for name, port in self.ports.items()}}
        _run(command, timeout_s, env=variables)


def podman(arguments: Sequence[str], timeout_s: float = 60) -> str:
    """Run podman and return all that it prints."""
    return _run(["podman", *arguments], timeout_s)


def until(get: Callable[[], Result], timeout_s: float, what: str) -> Result:
    """Return the first result of ``get`` that is true, asking again while it fails.

    Raises:
        AssertionError: there was none within ``timeout_s`` seconds; the text says ``what`` and the last failure.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        failure: Exception | None = None
        try:
            if result := get():
                return result
        except (OSError, AssertionError) as error:
            failure = error
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}; {failure}"
        time.sleep(POLL_S)


def _run(command: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        timeout=timeout_s,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout
