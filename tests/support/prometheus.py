"""Prometheus and promtool: those of the machine, else Debian's, unpacked into the cache folder on first use."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ingestor.local import default_cache
from ingestor.local.account import current_account, prepare_cache, server_account
from ingestor.local.apt import PrivateApt
from ingestor.local.filelock import locked
from ingestor.local.processes import CommandRunner

INSTALL_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 10.0
START_TIMEOUT_S = 30.0
POLL_S = 0.1
SCRAPE_S = 1


def find_prometheus(program: str) -> Path:
    """Return the path of ``prometheus`` or ``promtool``.

    Raises:
        CommandError: it is not here and cannot be had.
    """
    return asyncio.run(_find(default_cache(os.environ.get("XDG_CACHE_HOME")), program))


async def _find(cache: Path, program: str) -> Path:
    if (found := shutil.which(program)) is not None:
        return Path(found)
    prepare_cache(cache, server_account())
    tree = cache / "debian-prometheus"
    async with locked(cache / "debian-prometheus.lock", INSTALL_TIMEOUT_S, lambda: None):
        if not await asyncio.to_thread(tree.is_dir):
            await _install(cache, tree)
    return tree / "usr/bin" / program


async def _install(cache: Path, tree: Path) -> None:
    account = current_account()
    build = cache / "debian-prometheus.new"
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    for folder in (build, build / "tree", build / "tmp"):
        await asyncio.to_thread(account.make_directory, folder, 0o755)
    run = CommandRunner(account, variables={"LC_ALL": "C", "HOME": str(build), "TMPDIR": str(build / "tmp")})
    apt = PrivateApt(build / "apt", account, run)
    await apt.update()
    await apt.unpack("prometheus", target=build / "tree")
    await asyncio.to_thread((build / "tree").rename, tree)
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)


def run_promtool(promtool: Path, *arguments: str | Path) -> str:
    """Run promtool and return what it prints.

    Raises:
        AssertionError: it finds fault; the text is what it said.
    """
    command = [promtool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped, with the labels that it has in the cluster."""

    port: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    port: int

    def query(self, expression: str) -> list[Any]:
        """Return the vector that it gives for an expression now."""
        return list(self._get("query", {"query": expression})["result"])

    def query_range(self, expression: str, start_s: float, end_s: float, step_s: float) -> list[Any]:
        """Return the matrix that it gives for an expression."""
        place = {"query": expression, "start": str(start_s), "end": str(end_s), "step": str(step_s)}
        return list(self._get("query_range", place)["result"])

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Return all alerting rules by name."""
        groups = self._get("rules", {"type": "alert"})["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as response:
            return json.loads(response.read())["data"]


@contextmanager
def prometheus_server(
    program: Path, folder: Path, targets: Sequence[Target], rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """Run a server that scrapes ``targets`` every second and evaluates ``rules`` as often."""
    jobs: dict[str, list[Target]] = {}
    for target in targets:
        jobs.setdefault(target.labels["job"], []).append(target)
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": job,
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{one.port}"], "labels": {**one.labels}} for one in members],
            }
            for job, members in jobs.items()
        ],
    }
    with configured_server(program, folder, config) as server:
        yield server


@contextmanager
def configured_server(program: Path, folder: Path, config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run a server with a configuration file."""
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(process, port, folder / "log")
            yield Prometheus(port)
        finally:
            process.terminate()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=ANSWER_TIMEOUT_S):
                return
        except OSError:
            time.sleep(POLL_S)
    raise AssertionError(f"Prometheus does not serve: {log.read_text()}")
