"""What must be so before any pod is touched: credentials that work, a schema that is there, connections that fit."""

from dataclasses import dataclass, replace
from typing import Any

from ingestor.schema.steps import Plan
from ingestor_operator.access import Access, AccessReader
from ingestor_operator.budget import connections_per_pod
from ingestor_operator.cache import Cache
from ingestor_operator.conditions.verdict import Verdict, failed, unknown
from ingestor_operator.config import Settings
from ingestor_operator.database import SchemaVerdict
from ingestor_operator.errors import BlockedError
from ingestor_operator.manifests.children import DEPLOYMENTS
from ingestor_operator.manifests.deployment import CONNECTIONS_ANNOTATION, CREDENTIALS_ANNOTATION
from ingestor_operator.manifests.facts import Facts, Manifest
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec
from ingestor_operator.schema_keeper import SchemaKeeper
from ingestor_operator.sharing import Sharing


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was found out.

    Without ``facts`` nothing is applied; without ``pods_may_roll`` running pods stay as they are. ``blocked`` is what
    a person must change about the spec.
    """

    reachable: Verdict
    applied: Verdict
    facts: Facts | None = None
    pods_may_roll: bool = False
    blocked: Verdict | None = None
    durable: Verdict | None = None
    schema: SchemaVerdict | None = None
    schema_status: dict[str, Any] | None = None

    @property
    def more(self) -> dict[str, Verdict]:
        """Return the conditions that are there only where the database could be asked."""
        schema = self.schema
        found = {
            "DatabaseCapable": schema.capable if schema else None,
            "DatabaseDurable": self.durable,
            "PoliciesHealthy": schema.policies if schema else None,
        }
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    @property
    def pending(self) -> Plan | None:
        """Return the plan that waits for somebody."""
        return self.schema.pending if self.schema else None

    @property
    def steps(self) -> int:
        """Return how many steps were carried out in the schema."""
        return self.schema.steps if self.schema else 0


@dataclass(frozen=True, slots=True)
class Preparer:
    """Reads the Secrets and keeps the schema, which comes before any pod."""

    access: AccessReader
    cache: Cache
    keeper: SchemaKeeper
    sharing: Sharing
    settings: Settings

    async def prepare(self, ingestor: Ingestor, spec: IngestorSpec, *, suspect: bool) -> Preparation:
        """Return how things stand; ``suspect`` says that pods have trouble with the database.

        Raises:
            ClusterError: the API server could not be asked.
        """
        try:
            access = await self.access.read(ingestor, spec)
        except BlockedError as error:
            text = unknown(error.reason, "the database can't be asked")
            return Preparation(failed(error.reason, str(error)), text)
        try:
            self.sharing.check_agreement(ingestor, spec, self.cache.ingestors())
        except BlockedError as error:
            text = unknown(error.reason, "nothing was asked: another Ingestor has this schema")
            return Preparation(text, failed(error.reason, str(error)))
        schema = await self.keeper.keep(ingestor.key, access.target, suspect=suspect)
        deployment = self.cache.child(ingestor.key, DEPLOYMENTS.kind, ingestor.name)
        preparation = await self._weigh(spec, access, schema, deployment)
        return replace(preparation, schema=schema, schema_status=schema.status(access.target))

    async def _weigh(
        self, spec: IngestorSpec, access: Access, schema: SchemaVerdict, deployment: Manifest | None
    ) -> Preparation:
        try:
            most = spec.database.max_connections
            connections = connections_per_pod(most, spec.most_replicas, _present_connections(deployment, most))
        except BlockedError as error:
            refusal = failed(error.reason, str(error))
            return Preparation(schema.reachable, schema.applied, blocked=refusal)
        reachable = schema.reachable
        # Pods are ready without a database, so nothing else keeps a wrong password from replacing pods that work.
        if reachable.good and access.digest != _present_credentials(deployment):
            reachable = await self.keeper.check_login(access.writer)
        durable = await self.keeper.check_durability(access.target) if reachable.good and spec.replicas else None
        facts = Facts(
            image=spec.image or self.settings.image,
            connections=connections,
            credentials=access.digest,
            has_uri=access.writer.has_uri,
            database_port=access.writer.port,
        )
        return Preparation(
            reachable,
            schema.applied,
            facts,
            pods_may_roll=schema.pods_may_roll and reachable.good,
            blocked=self._refuse_pod_monitor(spec),
            durable=durable,
        )

    def _refuse_pod_monitor(self, spec: IngestorSpec) -> Verdict | None:
        if not spec.observability.pod_monitor.enabled or self.settings.pod_monitors:
            return None
        text = "spec.observability.podMonitor is enabled, but the operator may not make PodMonitors"
        return failed("PodMonitorsOff", f"{text}: install the chart with podMonitors.enabled=true, or disable it")


def _present_credentials(deployment: Manifest | None) -> str | None:
    """Return the hash of the credentials that running pods have."""
    template = (deployment or {}).get("spec", {}).get("template", {})
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return annotations.get(CREDENTIALS_ANNOTATION)


def _present_connections(deployment: Manifest | None, max_connections: int) -> int | None:
    """Return how many connections each running pod holds, if by the same bound: another one is another question."""
    note = ((deployment or {}).get("metadata", {}).get("annotations") or {}).get(CONNECTIONS_ANNOTATION, "")
    count, _, bound = note.partition(" of ")
    return int(count) if count.isdecimal() and bound == str(max_connections) else None
