"""A namespace on a real cluster, driven with kubectl and helm as a user would; waits for states, never for a time."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ingestor.local.container import IMAGE

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "analytics-ingestor"
EXAMPLES = ROOT / "helm" / "examples"
RELEASE = "ingestor"
POLL_S = 0.5

Manifest = dict[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Images:
    """The images under test: ``next`` is the same software with one migration more, see ``tests/e2e/next_release``.

    ``database_user`` is user and group of PostgreSQL in the database's image.
    """

    current: str
    next: str
    database: str
    database_user: str

    @classmethod
    def from_environment(cls) -> "Images":
        """Read ``E2E_*``; the defaults are what the README's commands build."""
        return cls(
            os.environ.get("E2E_IMAGE", "localhost/analytics-ingestor:dev"),
            os.environ.get("E2E_NEXT_IMAGE", "localhost/analytics-ingestor:next"),
            os.environ.get("E2E_DATABASE_IMAGE", "localhost/timescaledb:dev"),
            os.environ.get("E2E_DATABASE_USER", "100:102"),
        )

    def substitute(self, text: str) -> str:
        """Return an example with the images under test in place of the published ones."""
        user, group = self.database_user.split(":")
        return (
            text.replace("ghcr.io/analytics-ingestor/analytics-ingestor:0.1.0", self.current)
            .replace(IMAGE, self.database)
            .replace("runAsUser: 70", f"runAsUser: {user}")
            .replace("fsGroup: 70", f"fsGroup: {group}")
        )


class CommandError(AssertionError):
    """kubectl or helm refused; the text is what it said."""


@dataclass(frozen=True)
class Site:
    """One namespace of the cluster in ``E2E_CONTEXT``."""

    context: str
    namespace: str
    images: Images

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl in the namespace and return what it prints."""
        return _run(
            "kubectl", "--context", self.context, "-n", self.namespace, *arguments, stdin=stdin, timeout_s=timeout_s
        )

    def helm(self, *arguments: str, timeout_s: float = 180) -> str:
        """Run helm in the namespace and return what it prints."""
        return _run("helm", "--kube-context", self.context, "-n", self.namespace, *arguments, timeout_s=timeout_s)

    def apply(self, *manifests: Manifest) -> str:
        """Apply objects."""
        documents = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(documents))

    def apply_example(self, name: str) -> str:
        """Apply a file of helm/examples with the images under test."""
        return self.kubectl("apply", "-f", "-", stdin=self.example((EXAMPLES / name).read_text()))

    def example(self, text: str) -> str:
        """Return an example for a small cluster: with the images under test, and pods that ask for little CPU.

        The database's data are in a folder of the namespace, because volumes are used again.
        """
        text = self.images.substitute(text).replace("/data/pgdata", f"/data/{self.namespace}")
        return text.replace("cpu: 250m", f"cpu: {SMALL['requests']['cpu']}")

    def get(self, kind: str, name: str) -> Manifest:
        """Return one object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def list(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return objects by label."""
        return list(json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"])

    def exists(self, kind: str, name: str) -> bool:
        """Tell whether an object is there."""
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))

    def patch(self, name: str, spec: Manifest) -> None:
        """Change an Ingestor's spec."""
        self.kubectl("patch", "igst", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def conditions(self, name: str = "metrics") -> dict[str, Manifest]:
        """Return an Ingestor's conditions by type, those of its current generation alone."""
        body = self.get("igst", name)
        generation = body["metadata"]["generation"]
        found = (body.get("status") or {}).get("conditions") or []
        return {item["type"]: item for item in found if item["observedGeneration"] == generation}

    def wait_ready(self, name: str = "metrics", timeout_s: float = 90) -> None:
        """Wait until an Ingestor is Ready."""
        self.kubectl(
            "wait", "--for=condition=Ready", f"igst/{name}", f"--timeout={timeout_s:.0f}s", timeout_s=timeout_s + 10
        )

    def wait_condition(
        self, kind: str, reason: str, status: str = "False", name: str = "metrics", timeout_s: float = 30
    ) -> Manifest:
        """Wait until a condition has a status and a reason, and return it."""

        def reached() -> Manifest | None:
            condition = self.conditions(name).get(kind, {})
            return condition if (condition.get("status"), condition.get("reason")) == (status, reason) else None

        return wait_for(reached, timeout_s, lambda: f"{kind} never was {status}/{reason}: {self.conditions(name)}")

    def wait_established(self, crd: str) -> None:
        """Wait until a CRD is served; `kubectl wait` gives up where there are no conditions at all yet."""

        def served() -> bool:
            conditions = (self.get("crd", crd).get("status") or {}).get("conditions") or []
            return any((item["type"], item["status"]) == ("Established", "True") for item in conditions)

        wait_for(served, 30, lambda: f"{crd} is not served: {self.get('crd', crd).get('status')}")

    def sql(self, statement: str, database: str = "metrics") -> str:
        """Run SQL as the administrator of the example's database and return its rows, unaligned."""
        url = f"postgresql://postgres:trying-admin@127.0.0.1/{database}"
        command = ("exec", "timescaledb-0", "-c", "timescaledb", "--", "psql", url, "-v", "ON_ERROR_STOP=1", "-Atc")
        return self.kubectl(*command, statement).strip()

    @contextmanager
    def port_forward(self, target: str, port: int) -> Iterator[int]:
        """Forward a free local port to a pod, a Service or a Deployment and return it."""
        command = ["kubectl", "--context", self.context, "-n", self.namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
                assert found is not None, f"can't forward to {target}"
                yield int(found[1])
            finally:
                process.terminate()

    def start_database(self) -> None:
        """Start the example's TimescaleDB with its roles."""
        self.apply_example("timescaledb.yaml")
        self.kubectl("wait", "--for=condition=complete", "job/timescaledb-bootstrap", "--timeout=90s")

    def install_operator(self, *values: str, image: str | None = None, crds: bool = False) -> None:
        """Install the chart for this namespace alone, with the current image, and wait until the operator answers."""
        repository, _, tag = (image or self.images.current).rpartition(":")
        settings = [
            f"image.repository={repository}",
            f"image.tag={tag}",
            "scope=Namespace",
            f"crds.create={crds}".lower(),
        ]
        options = [part for value in (*settings, *values) for part in ("--set", value)]
        self.helm("upgrade", "--install", RELEASE, str(CHART), "--wait", "--timeout=90s", *options)

    @property
    def operator_account(self) -> str:
        """Return the user name of the operator in the API server's audit log."""
        return f"system:serviceaccount:{self.namespace}:{RELEASE}-analytics-ingestor"


def ingestor(name: str = "metrics", **spec: Any) -> Manifest:
    """Return an Ingestor on the example's database."""
    database = {
        "host": "timescaledb",
        "name": "metrics",
        "tls": {"mode": "Disabled"},
        "writerSecretRef": {"name": "timescaledb-writer"},
        "ownerSecretRef": {"name": "timescaledb-owner"},
        "readerRole": "analytics_reader",  # whatever the schema is called
    }
    return {
        "apiVersion": "analytics-ingestor.io/v1alpha1",
        "kind": "Ingestor",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "pod": {"resources": SMALL}, **spec, "database": database | spec.get("database", {})},
    }


SMALL: Manifest = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
"""What pods of tests ask for: many of them share a small node."""


def wait_for(reached: Callable[[], Result | None], timeout_s: float, explain: Callable[[], str]) -> Result:
    """Return the first true value of ``reached``.

    Raises:
        AssertionError: there was none in ``timeout_s`` seconds; ``explain`` says how things stand.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = reached()
        if found:
            return found
        assert time.monotonic() < deadline, explain()
        time.sleep(POLL_S)


def _run(*command: str, stdin: str | None = None, timeout_s: float = 120) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command[:12])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
