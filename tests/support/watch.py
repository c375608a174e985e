"""Every version of a namespace's Ingestors and ingest pods: nothing is missed between two looks."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from support.kube import Manifest, Site

INGESTORS = "/apis/analytics-ingestor.io/v1alpha1/namespaces/{}/ingestors?watch=1"
PODS = "/api/v1/namespaces/{}/pods?watch=1&labelSelector=app.kubernetes.io%2Fcomponent%3Dingest"

Conditions = dict[str, Manifest]


@dataclass(frozen=True)
class Seen:
    """One version of an object; ``at_s`` is when it arrived, on the monotonic clock."""

    at_s: float
    kind: str
    deleted: bool
    body: Manifest

    @property
    def name(self) -> str:
        """Return the name of the object."""
        return str(self.body["metadata"]["name"])

    @property
    def conditions(self) -> Conditions:
        """Return an Ingestor's conditions by type, whichever generation they are about."""
        return {item["type"]: item for item in (self.body.get("status") or {}).get("conditions") or []}

    @property
    def claims_ready(self) -> bool:
        """Tell whether an Ingestor says that its present generation is Ready."""
        ready = self.conditions.get("Ready", {})
        current = ready.get("observedGeneration") == self.body["metadata"]["generation"]
        return bool(current and ready["status"] == "True")


class Watch:
    """Records from ``with`` on, until it is left."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._seen: list[Seen] = []
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(path,)) for path in (INGESTORS, PODS)]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        for process in self._processes.values():
            process.terminate()
        for thread in self._threads:
            thread.join(10)

    def _follow(self, path: str) -> None:
        """Watch, and where that ends go on from the last version: a change of the CRD ends all watches of its kind."""
        version = "0"
        while not self._leaving.is_set():
            url = f"{path.format(self._site.namespace)}&resourceVersion={version}"
            command = ("kubectl", "--context", self._site.context, "get", "--raw", url)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                self._processes[path] = process
                assert process.stdout is not None
                for line in process.stdout:
                    version = self._take(json.loads(line))

    def _take(self, event: Manifest) -> str:
        """Record an event and return its version."""
        body = event["object"]
        assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), body
        self._seen.append(Seen(time.monotonic(), body["kind"], event["type"] == "DELETED", body))
        return str(body["metadata"]["resourceVersion"])

    def seen(self, since_s: float = 0.0) -> list[Seen]:
        """Return what arrived, in order."""
        assert all(thread.is_alive() for thread in self._threads), "a watch has failed"
        return [item for item in list(self._seen) if item.at_s >= since_s]

    def versions(self, name: str = "metrics", since_s: float = 0.0) -> list[Seen]:
        """Return the versions of one Ingestor."""
        return [item for item in self.seen(since_s) if item.kind == "Ingestor" and item.name == name]

    def claims(self) -> Iterator[tuple[Seen, list[Manifest]]]:
        """Yield each version of an Ingestor that claims to be Ready, with its pods as they were then.

        Pods that are on their way out do not count: a Deployment does not wait for their end either.
        """
        pods: dict[str, Manifest] = {}
        for item in self.seen():
            if item.kind == "Pod":
                pods[item.name] = item.body
                if item.deleted or "deletionTimestamp" in item.body["metadata"]:
                    del pods[item.name]
            elif item.claims_ready and not item.deleted:
                label = "app.kubernetes.io/instance"
                yield item, [pod for pod in pods.values() if pod["metadata"]["labels"][label] == item.name]
