"""kopf as an informer, and the only module that knows it: events go into the cache, keys into the queue."""

import time
from collections.abc import Callable
from typing import Any, cast

import kopf

from ingestor_operator.cache import Cache
from ingestor_operator.cluster import INGESTORS, strip
from ingestor_operator.health import WatchProof
from ingestor_operator.manifests.children import Kind
from ingestor_operator.manifests.facts import MANAGED_BY, MANAGED_BY_LABEL, Manifest
from ingestor_operator.metrics import Metrics
from ingestor_operator.queue import WorkQueue


class Informer:
    """Handlers that only enqueue, so that they cannot fail; kopf would log a failure and forget the event."""

    def __init__(
        self, cache: Cache, queue: WorkQueue, proof: WatchProof, metrics: Metrics, relisted: Callable[[], None]
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._proof = proof
        self._metrics = metrics
        self._relisted = relisted

    async def run(self, kinds: tuple[Kind, ...], namespaces: list[str]) -> None:
        """Watch until a signal: kopf takes SIGTERM and SIGINT itself. No namespaces means all."""
        await kopf.operator(
            registry=self._register(kinds),
            settings=_settings(kinds),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            # Otherwise kopf asks for a user name, which a pod's user has none of.
            identity=cast("Any", MANAGED_BY),
        )

    def _register(self, kinds: tuple[Kind, ...]) -> kopf.OperatorRegistry:
        """Return kopf's registry with a handler a kind."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)  # an own registry has no login handler
        kopf.on.event(INGESTORS.group, INGESTORS.version, INGESTORS.plural, registry=registry)(self._on_ingestor)
        for kind in kinds:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"on-{kind.plural}", param=kind)(
                self._on_child
            )
        return registry

    async def _on_ingestor(self, event: kopf.RawEvent, **_: Any) -> None:
        body = self._take(event, INGESTORS)
        metadata = body["metadata"]
        self._proof.delivered((metadata["namespace"], metadata["name"]), metadata["resourceVersion"])
        key = self._cache.put_ingestor(body, deleted=event["type"] == "DELETED")
        if key is not None:
            self._queue.add(key)

    async def _on_child(self, event: kopf.RawEvent, param: Any = None, **_: Any) -> None:
        body = self._take(event, param)
        key = self._cache.put_child(param, body, deleted=event["type"] == "DELETED")
        if key is not None and self._cache.ingestor(key) is not None:
            self._queue.add(key)

    def _take(self, event: kopf.RawEvent, kind: Kind) -> Manifest:
        """Return the object of an event; one without a type comes from a listing, after a (re)connect."""
        self._metrics.last_event.set(time.time())
        if event["type"] is None:
            self._relisted()
        body: dict[str, Any] = {**event["object"]}
        return strip({"apiVersion": kind.api_version, "kind": kind.kind, **body})


def _settings(kinds: tuple[Kind, ...]) -> kopf.OperatorSettings:
    """Return kopf's settings; each differs from the default for a reason that was seen on a real cluster."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # no watch of CRDs and namespaces, so no rights on them
    settings.peering.standalone = True  # another operator's peering record would freeze this one
    settings.posting.enabled = False
    settings.watching.chunk_size = 200
    settings.watching.reconnect_backoff = 1.0
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.queueing.idle_timeout = 0.5  # the default keeps a task per object for 5 s: a cold start crawls
    settings.process.ultimate_exiting_timeout = 20
    for kind in kinds:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    return settings


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in with the pod's service account, or with the kubeconfig outside of a pod."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
