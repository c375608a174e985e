"""The composition root: build every part, list before watching, and end the process when any part ends."""

import asyncio
import contextlib
import logging
import random
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry

from ingestor_operator.access import AccessReader
from ingestor_operator.cache import Cache
from ingestor_operator.children import ChildWriter
from ingestor_operator.cluster import INGESTORS, Cluster, connected
from ingestor_operator.config import Settings
from ingestor_operator.errors import ClusterError, RefusedError
from ingestor_operator.handlers import Informer
from ingestor_operator.health import WatchProof, find_faults
from ingestor_operator.http import HttpServer
from ingestor_operator.manifests.children import Kind, kinds
from ingestor_operator.manifests.facts import MANAGED_BY, MANAGED_BY_LABEL, Manifest
from ingestor_operator.metrics import ConditionsCollector, Metrics
from ingestor_operator.pods import PodWatcher
from ingestor_operator.prepare import Preparer
from ingestor_operator.queue import WorkQueue
from ingestor_operator.reconcile import Parts, Reconciler
from ingestor_operator.reporter import Reporter
from ingestor_operator.schema_keeper import SchemaKeeper
from ingestor_operator.sharing import Sharing
from ingestor_operator.teardown import Teardown
from ingestor_operator.upgrades import UpgradeTurns

logger = logging.getLogger(__name__)

FIRST_LIST_PAUSE_S = 2.0
RELIST_DELAY_S = 5.0
"""After a watch reconnected, so that the listings of all kinds become one."""
SAMPLE_S = 5.0

_CHATTY = ("kopf", "httpx2", "httpcore2")
"""Loggers that have a line for every request or event."""


class Runtime:
    """One operator process; all parts live on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds = kinds(pod_monitors=settings.pod_monitors)
        self._metrics = Metrics(CollectorRegistry())
        self._cache = Cache()
        self._queue = WorkQueue()
        self._proof = WatchProof()
        self._relist = asyncio.Event()
        self._started = time.monotonic()
        self._metrics.registry.register(ConditionsCollector(self._cache.ingestors))
        self.http = HttpServer(
            settings.http_host,
            settings.http_port,
            self._metrics.registry,
            lambda: find_faults(self._queue, self._proof, time.monotonic() - self._started),
            lambda: not self._proof.never_listed,
        )

    async def run(self) -> None:
        """Work until a signal ends kopf, or until any part fails."""
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        await self.http.start()
        try:
            async with self._reconciler() as (cluster, reconciler):
                await self._list_at_first(cluster)
                logger.info("serving", extra={"ingestors": len(self._cache.ingestors()), "http_port": self.http.port})
                async with asyncio.TaskGroup() as tasks:
                    background = [
                        tasks.create_task(self._queue.run(self._settings.workers, reconciler)),
                        tasks.create_task(self._resync(cluster)),
                        tasks.create_task(self._sample()),
                    ]
                    await self._watch()
                    for task in background:
                        task.cancel()
        finally:
            await self.http.stop()
        logger.info("stopped")

    @contextlib.asynccontextmanager
    async def _reconciler(self) -> AsyncIterator[tuple[Cluster, Reconciler]]:
        with tempfile.TemporaryDirectory(prefix="ingestor-operator-") as directory:
            async with connected(self._count_write) as cluster, aiohttp.ClientSession() as session:
                access = AccessReader(cluster, Path(directory))
                children = ChildWriter(cluster, self._cache)
                keeper = SchemaKeeper(self._metrics, self._settings.resync_s * 0.9)
                reporter, sharing = Reporter(cluster, self._cache), Sharing()
                parts = Parts(
                    cluster=cluster,
                    cache=self._cache,
                    preparer=Preparer(access, self._cache, keeper, sharing, self._settings),
                    children=children,
                    keeper=keeper,
                    pods=PodWatcher(session),
                    reporter=reporter,
                    teardown=Teardown(cluster, self._cache, access, children, keeper, reporter, sharing),
                    turns=UpgradeTurns(),
                    metrics=self._metrics,
                )
                yield cluster, Reconciler(parts, self._settings)

    def _count_write(self, kind: str, verb: str) -> None:
        self._metrics.writes.labels(kind, verb).inc()

    async def _watch(self) -> None:
        informer = Informer(self._cache, self._queue, self._proof, self._metrics, self._relist.set)
        await informer.run(self._kinds, self._settings.namespace_list)

    async def _list_at_first(self, cluster: Cluster) -> None:
        """List until it works: kopf, started before the API server knows the kind, would be blind for ever."""
        while True:
            try:
                await self._list(cluster)
            except (ClusterError, RefusedError) as error:
                logger.warning("can't list, will retry", extra={"error": str(error)})
                await asyncio.sleep(FIRST_LIST_PAUSE_S)
            else:
                return

    async def _list(self, cluster: Cluster) -> None:
        """Replace the cache, for deletions that a watch missed while it was down, and look at everything again."""
        self._cache.begin_listing()
        ingestors = await self._list_kind(cluster, INGESTORS, None)
        self._proof.listed(ingestors)
        for kind in self._kinds:
            children = await self._list_kind(cluster, kind, {MANAGED_BY_LABEL: MANAGED_BY})
            self._cache.replace_children(kind, children)
        for key in self._cache.replace_ingestors(ingestors):
            self._queue.add(key)
        self._metrics.last_resync.set(time.time())

    async def _list_kind(self, cluster: Cluster, kind: Kind, labels: dict[str, str] | None) -> list[Manifest]:
        namespaces = self._settings.namespace_list or ["*"]
        return [item for name in namespaces for item in await cluster.list_objects(kind, name, labels)]

    async def _resync(self, cluster: Cluster) -> None:
        while True:
            pause_s = self._settings.resync_s * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._relist.wait()
                await asyncio.sleep(RELIST_DELAY_S)
            self._relist.clear()
            try:
                await self._list(cluster)
            except (ClusterError, RefusedError) as error:
                logger.warning("can't list, will retry", extra={"error": str(error)})
                self._relist.set()

    async def _sample(self) -> None:
        """Keep the metrics of the queue."""
        while True:
            self._metrics.queue_depth.set(self._queue.waiting)
            self._metrics.queue_oldest.set(self._queue.oldest_wait_s)
            self._metrics.longest_running.set(self._queue.longest_running_s)
            await asyncio.sleep(SAMPLE_S)
