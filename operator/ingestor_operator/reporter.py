"""Write an Ingestor's status when it says something new, and an Event when somebody should hear of it."""

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ingestor_operator.cache import Cache
from ingestor_operator.cluster import Cluster
from ingestor_operator.conditions.summary import changes, merge_conditions
from ingestor_operator.conditions.verdict import Verdict, unknown
from ingestor_operator.errors import ClusterError, RefusedError
from ingestor_operator.manifests.facts import MANAGED_BY, Manifest, selector_text
from ingestor_operator.manifests.services import headless_name
from ingestor_operator.resource.ingestor import API_VERSION, KIND, Ingestor

logger = logging.getLogger(__name__)

_ALWAYS_TOLD = {"DatabaseReachable", "DatabaseCapable", "SchemaApplied", "PoliciesHealthy", "Ingesting"}
_MAX_NOTE = 1_000
"""Events hold 1,024 bytes of message."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Reporter:
    """Writes once per change; Events tell of transitions, never of a state that lasts."""

    def __init__(self, cluster: Cluster, cache: Cache, now: Callable[[], datetime] = _utc_now) -> None:
        self._cluster = cluster
        self._cache = cache
        self._now = now

    async def announce(self, ingestor: Ingestor) -> None:
        """Say that a generation is being worked on: until it is judged, Ready is unknown."""
        verdicts = {"Ready": unknown("Reconciling", "this generation is being worked on")}
        await self.report(ingestor, verdicts, {})

    async def report(self, ingestor: Ingestor, verdicts: Mapping[str, Verdict], numbers: Mapping[str, Any]) -> None:
        """Write status and Events where they differ from what was last seen.

        Conditions that ``verdicts`` does not name stay as they are, with the generation that they are about.
        """
        before = (self._cache.ingestor(ingestor.key) or {}).get("status") or {}
        old = before.get("conditions") or []
        judged = merge_conditions(verdicts, old, ingestor.generation, _stamp(self._now()))
        status = {
            **before,
            "replicas": 0,
            "readyReplicas": 0,
            **{name: before[name] for name in ("replicas", "readyReplicas") if name in before},
            **numbers,
            "observedGeneration": ingestor.generation,
            "selector": selector_text(ingestor.name),
            "conditions": judged + [item for item in old if item["type"] not in verdicts],
        }
        if _without_nulls(status) == before:
            return
        written = await self._cluster.write_status(ingestor.namespace, ingestor.name, status)
        if written["metadata"]["generation"] == ingestor.generation:  # a newer spec must come as news, by the watch
            self._cache.update_ingestor(written)
        for condition in changes(old, judged):
            if _is_told(condition):
                await self.tell(ingestor, condition["reason"], condition["message"], good=condition["status"] == "True")

    async def tell(self, ingestor: Ingestor, reason: str, message: str, *, good: bool) -> None:
        """Post an Event about an Ingestor; one that can't be posted is lost, the status says it all."""
        try:
            await self._cluster.post_event(self._event(ingestor, reason, message, "Normal" if good else "Warning"))
        except (ClusterError, RefusedError) as error:
            extra = {"namespace": ingestor.namespace, "ingestor": ingestor.name, "error": str(error)}
            logger.warning("event not posted", extra=extra)

    def _event(self, ingestor: Ingestor, reason: str, message: str, kind: str) -> Manifest:
        stamp = _stamp(self._now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{ingestor.name}.{uuid.uuid4().hex[:16]}", "namespace": ingestor.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": ingestor.name,
                "namespace": ingestor.namespace,
                "uid": ingestor.uid,
                "resourceVersion": ingestor.resource_version,
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MAX_NOTE],
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "source": {"component": MANAGED_BY},
            "reportingComponent": MANAGED_BY,
        }


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a merge patch leaves: it takes a null for a field to remove."""
    return {
        name: _without_nulls(part) if isinstance(part, Mapping) else part
        for name, part in value.items()
        if part is not None
    }


def endpoints(name: str, namespace: str, port: int) -> dict[str, str]:
    """Return where clients connect."""
    return {
        "service": f"{name}.{namespace}.svc:{port}",
        "roundRobin": f"dns:///{headless_name(name)}.{namespace}.svc:{port}",
    }


def _is_told(condition: Mapping[str, Any]) -> bool:
    """Tell whether an Event is due: causes always, the summary when all is well, progress when it fails."""
    kind, status = condition["type"], condition["status"]
    return kind in _ALWAYS_TOLD or (kind, status) in {("Ready", "True"), ("Progressing", "False")}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
