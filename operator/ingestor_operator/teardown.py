"""Delete an Ingestor whose data shall go with it: pods first, then what we own in the database, then the object.

Objects without our finalizer never come here: Kubernetes removes them and their children by itself, and data stay.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ingestor_operator.access import AccessReader
from ingestor_operator.cache import Cache
from ingestor_operator.children import ChildWriter
from ingestor_operator.cluster import Cluster
from ingestor_operator.conditions.verdict import failed, unknown
from ingestor_operator.database import Target, drop
from ingestor_operator.errors import BlockedError, DatabaseError
from ingestor_operator.manifests.facts import selector
from ingestor_operator.reporter import Reporter
from ingestor_operator.resource.ingestor import FINALIZER, Ingestor, IngestorSpec
from ingestor_operator.schema_keeper import SchemaKeeper
from ingestor_operator.sharing import Sharing

PAUSE_S = 2.0
RETRY_S = 10.0
_WAY_OUT = "the data can't be dropped yet; set spec.schema.reclaimPolicy to Retain to let go and keep them"


@dataclass(frozen=True, slots=True)
class Teardown:
    """Takes one step each time it is called, until the finalizer is gone."""

    cluster: Cluster
    cache: Cache
    access: AccessReader
    children: ChildWriter
    keeper: SchemaKeeper
    reporter: Reporter
    sharing: Sharing
    drop_schema: Callable[[Target], Awaitable[str]] = drop

    async def step(self, ingestor: Ingestor) -> float | None:
        """Return after how many seconds to call again, None once there is nothing left to do."""
        if FINALIZER not in ingestor.finalizers:
            return None
        try:
            if _reclaims(ingestor):
                spec = ingestor.parse_spec()
                await self.children.scale(ingestor, 0)
                if running := await self._count_running(ingestor):
                    text = f"{running} pods are not gone yet; the schema is dropped after them"
                    await self.reporter.report(ingestor, {"Ready": unknown("Deleting", text)}, {})
                    return PAUSE_S
                await self._drop(ingestor, spec)
        except (BlockedError, DatabaseError) as error:
            verdict = failed("DeletionBlocked", f"{_WAY_OUT}. Now: {error.reason}: {error}")
            await self.reporter.report(ingestor, {"Ready": verdict, "SchemaApplied": verdict}, {})
            return RETRY_S
        rest = [name for name in ingestor.finalizers if name != FINALIZER]
        await self.cluster.set_finalizers(ingestor.namespace, ingestor.name, ingestor.resource_version, rest)
        return None

    async def _count_running(self, ingestor: Ingestor) -> int:
        """Return how many pods may still write; an evicted one stays as a record and never runs again."""
        pods = await self.cluster.list_pods(ingestor.namespace, selector(ingestor.name))
        return sum((pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded") for pod in pods)

    async def _drop(self, ingestor: Ingestor, spec: IngestorSpec) -> None:
        others = self.sharing.other_users(ingestor, spec, self.cache.ingestors())
        if others:
            text = f"the schema stays: {', '.join(others)} still use it"
            await self.reporter.tell(ingestor, "SchemaKept", text, good=True)
            return
        done = await self.drop_schema(await self._target(ingestor, spec))
        self.keeper.doubt_all()
        await self.reporter.tell(ingestor, "SchemaDropped", done, good=True)

    async def _target(self, ingestor: Ingestor, spec: IngestorSpec) -> Target:
        """Return the schema to drop; where a whole namespace goes, its Secrets may be gone before the Ingestor."""
        try:
            return (await self.access.read(ingestor, spec)).target
        except BlockedError:
            remembered = self.keeper.last_target(ingestor.key)
            if remembered is None:
                raise
            return remembered


def _reclaims(ingestor: Ingestor) -> bool:
    """Tell whether data go too; read from the raw spec, so that the way out works for one that is invalid otherwise."""
    managed = ingestor.raw_spec.get("managementState") != "Unmanaged"
    return managed and (ingestor.raw_spec.get("schema") or {}).get("reclaimPolicy") == "Delete"
