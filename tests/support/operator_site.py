"""The operator's own parts, wired as its runtime wires them, on an API server, a database and pods that are fakes."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from ingestor_operator.access import AccessReader
from ingestor_operator.cache import Cache
from ingestor_operator.children import ChildWriter
from ingestor_operator.cluster import INGESTORS
from ingestor_operator.conditions.ingesting import PodReport
from ingestor_operator.config import Settings
from ingestor_operator.manifests.children import DEPLOYMENTS, Kind, kinds
from ingestor_operator.manifests.facts import MANAGED_BY, MANAGED_BY_LABEL
from ingestor_operator.metrics import Metrics
from ingestor_operator.pods import PodWatcher
from ingestor_operator.prepare import Preparer
from ingestor_operator.queue import Key
from ingestor_operator.reconcile import Parts, Reconciler
from ingestor_operator.reporter import Reporter
from ingestor_operator.schema_keeper import SchemaKeeper
from ingestor_operator.sharing import Sharing
from ingestor_operator.teardown import Teardown
from ingestor_operator.upgrades import UpgradeTurns
from support.fake_cluster import FakeApiServer, fake_cluster
from support.fake_database import FakeDatabase
from support.fake_objects import Manifest
from support.fake_workloads import complete_rollout
from support.operator_specs import NAMESPACE, ingestor_body

IMAGE = "registry.example/ingestor:1"
HEALTH_S = 15.0
RESYNC_S = 270.0
WRITING = {"database_up": True, "last_error": None, "held": 0, "refusing": False}


class FakePods(PodWatcher):
    """Every ready pod answers ``status``; None means that none answers."""

    def __init__(self) -> None:
        self.status: dict[str, Any] | None = dict(WRITING)

    async def ask(self, pods: list[Manifest]) -> list[PodReport]:
        """Return one report for each pod."""
        return [PodReport(pod["metadata"]["name"], self.status) for pod in pods]


class OperatorSite:
    """A namespace with an operator; ``reconcile`` first brings it what its watches would have brought.

    ``directory`` is where the operator keeps certificates.
    """

    def __init__(self, directory: Path) -> None:
        self.api = FakeApiServer()
        self.writes: list[tuple[str, str]] = []
        self.cluster = fake_cluster(self.api, lambda kind, verb: self.writes.append((kind, verb)))
        self.database = FakeDatabase()
        self.pods = FakePods()
        self.now_s = 0.0
        self.pod_monitors = True
        self._directory = directory
        self.add_secret("writer", username="analytics_writer", password="w")
        self.add_secret("owner", username="analytics_owner", password="o")
        self.start_operator()

    def start_operator(self, image: str = IMAGE) -> None:
        """Start the operator anew, as after a crash or an upgrade: it knows only what it lists."""
        self.cache = Cache()
        self.api.changes.clear()
        metrics = Metrics(CollectorRegistry())
        settings = Settings(image=image, health_s=HEALTH_S, pod_monitors=self.pod_monitors)
        access = AccessReader(self.cluster, self._directory)
        children = ChildWriter(self.cluster, self.cache)
        reporter = Reporter(self.cluster, self.cache, lambda: START + timedelta(seconds=self.now_s))
        sharing = Sharing()
        self.turns = UpgradeTurns()
        keeper = SchemaKeeper(
            metrics, RESYNC_S, self.database.keep, self.database.log_in, self.database.durability, lambda: self.now_s
        )
        teardown = Teardown(self.cluster, self.cache, access, children, keeper, reporter, sharing, self.database.drop)
        parts = Parts(
            cluster=self.cluster,
            cache=self.cache,
            preparer=Preparer(access, self.cache, keeper, sharing, settings),
            children=children,
            keeper=keeper,
            pods=self.pods,
            reporter=reporter,
            teardown=teardown,
            turns=self.turns,
            metrics=metrics,
        )
        self.reconciler = Reconciler(parts, settings)
        for kind in _watched():
            self.cache.replace_children(kind, [body for body in self.api.of_kind(kind.kind) if _is_watched(body)])
        self.cache.replace_ingestors(self.api.of_kind(INGESTORS.kind))

    def add_secret(self, name: str, **values: str) -> None:
        """Store a Secret, or replace what it holds."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        if self.api.get("Secret", NAMESPACE, name) is not None:
            self.api.delete("Secret", NAMESPACE, name)
        metadata = {"name": name, "namespace": NAMESPACE}
        self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    def add_ingestor(self, name: str = "metrics", **spec: Any) -> Manifest:
        """Create an Ingestor, as its user."""
        return self.api.create(ingestor_body(name, **spec))

    def change_spec(self, name: str = "metrics", **spec: Any) -> Manifest:
        """Merge into an Ingestor's spec, as its user."""
        return self.api.edit("Ingestor", NAMESPACE, name, {"spec": spec})

    def deliver(self) -> None:
        """Bring the operator what happened since, as its watches do."""
        kinds_by_name = {kind.kind: kind for kind in _watched()}
        for change, body in self.api.changes:
            deleted = change == "DELETED"
            if body["kind"] == INGESTORS.kind:
                self.cache.put_ingestor(body, deleted=deleted)
            elif body["kind"] in kinds_by_name and _is_watched(body):
                self.cache.put_child(kinds_by_name[body["kind"]], body, deleted=deleted)
        self.api.changes.clear()

    async def reconcile(self, name: str = "metrics") -> float | None:
        """Do one pass and return when the next one is due."""
        self.deliver()
        return await self.reconciler((NAMESPACE, name))

    async def settle(self, name: str = "metrics") -> None:
        """Do passes, pods doing what they are asked to, until one has nothing to write.

        Raises:
            AssertionError: ten passes were not enough.
        """
        for _ in range(10):
            self.writes.clear()
            await self.reconcile(name)
            if self.api.get("Deployment", NAMESPACE, name) is not None and not self.is_rolled_out(name):
                complete_rollout(self.api, NAMESPACE, name)
            elif not self.writes:
                return
        raise AssertionError(f"still writes: {self.writes}")

    def is_rolled_out(self, name: str = "metrics") -> bool:
        """Tell whether the Deployment's controller has nothing left to do."""
        deployment = self.deployment(name)
        status = deployment.get("status") or {}
        wanted = deployment["spec"]["replicas"]
        counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        return counts == [wanted] * 3 and status.get("observedGeneration") == deployment["metadata"]["generation"]

    def deployment(self, name: str = "metrics") -> Manifest:
        """Return the Deployment."""
        found = self.api.get(DEPLOYMENTS.kind, NAMESPACE, name)
        assert found is not None, "there is no Deployment"
        return found

    def container(self, name: str = "metrics") -> Manifest:
        """Return the container of the Deployment's pods."""
        return dict(self.deployment(name)["spec"]["template"]["spec"]["containers"][0])

    def status(self, name: str = "metrics") -> Manifest:
        """Return an Ingestor's status."""
        found = self.api.get("Ingestor", NAMESPACE, name)
        assert found is not None, "there is no Ingestor"
        return dict(found.get("status") or {})

    def conditions(self, name: str = "metrics") -> Mapping[str, tuple[str, str]]:
        """Return status and reason of each condition."""
        return {item["type"]: (item["status"], item["reason"]) for item in self.status(name).get("conditions", [])}

    def message(self, condition: str, name: str = "metrics") -> str:
        """Return the message of a condition."""
        found = [item["message"] for item in self.status(name)["conditions"] if item["type"] == condition]
        return str(found[0])

    def events(self) -> list[tuple[str, str]]:
        """Return type and reason of all Events, the oldest first."""
        return [(event["type"], event["reason"]) for event in self.api.of_kind("Event")]


START = datetime(2026, 1, 1, tzinfo=UTC)


def _watched() -> tuple[Kind, ...]:
    return kinds(pod_monitors=True)


def _is_watched(body: Manifest) -> bool:
    return (body["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY


def key_of(name: str = "metrics") -> Key:
    """Return the key of an Ingestor."""
    return NAMESPACE, name
