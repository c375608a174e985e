"""Delete an Ingestor whose data shall go with it: pods first, then what we own in the database, then the object.

Objects without our finalizer never come here: Kubernetes removes them and their children by itself, and data stay.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ingestor_operator.access import AccessReader
from ingestor_operator.cache import Cache
from ingestor_operator.children import ChildWriter
from ingestor_operator.cluster import Cluster
from ingestor_operator.conditions.verdict import failed
from ingestor_operator.database import Target, drop
from ingestor_operator.errors import BlockedError, DatabaseError
from ingestor_operator.manifests.facts import selector
from ingestor_operator.reporter import Reporter
from ingestor_operator.resource.ingestor import FINALIZER, Ingestor, IngestorSpec
from ingestor_operator.sharing import Sharing

PAUSE_S = 2.0
RETRY_S = 10.0
_WAY_OUT = "set spec.schema.reclaimPolicy to Retain to let the object go and keep the data"


@dataclass(frozen=True, slots=True)
class Teardown:
    """Takes one step each time it is called, until the finalizer is gone."""

    cluster: Cluster
    cache: Cache
    access: AccessReader
    children: ChildWriter
    reporter: Reporter
    sharing: Sharing
    drop_schema: Callable[[Target], Awaitable[str]] = drop

    async def step(self, ingestor: Ingestor) -> float | None:
        """Return after how many seconds to call again, None once there is nothing left to do."""
        if FINALIZER not in ingestor.finalizers:
            return None
        try:
            spec = ingestor.parse_spec()
            if spec.schema_.reclaim_policy == "Delete":
                await self.children.scale(ingestor, 0)
                if await self.cluster.list_pods(ingestor.namespace, selector(ingestor.name)):
                    return PAUSE_S
                await self._drop(ingestor, spec)
        except (BlockedError, DatabaseError) as error:
            verdict = failed("DeletionBlocked", f"{error.reason}: {error}; {_WAY_OUT}")
            await self.reporter.report(ingestor, {"Ready": verdict, "SchemaApplied": verdict}, {})
            return RETRY_S
        rest = [name for name in ingestor.finalizers if name != FINALIZER]
        await self.cluster.set_finalizers(ingestor.namespace, ingestor.name, ingestor.resource_version, rest)
        return None

    async def _drop(self, ingestor: Ingestor, spec: IngestorSpec) -> None:
        others = self.sharing.other_users(ingestor, spec, self.cache.ingestors())
        if others:
            text = f"the schema stays: {', '.join(others)} still use it"
            await self.reporter.tell(ingestor, "SchemaKept", text, good=True)
            return
        access = await self.access.read(ingestor, spec)
        done = await self.drop_schema(access.target)
        await self.reporter.tell(ingestor, "SchemaDropped", done, good=True)
