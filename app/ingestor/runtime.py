"""The composition root: build every part from the settings, start them in order, drain them in order."""

import asyncio
import contextlib
import gc
import logging
import platform
import time
from collections.abc import AsyncIterator

from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from ingestor.api.analytics import SERVICE, AnalyticsService
from ingestor.api.calls import Calls
from ingestor.api.http import HttpServer, Status
from ingestor.api.permits import Permits
from ingestor.api.reception import Reception
from ingestor.api.server import GrpcServer
from ingestor.config import Settings
from ingestor.memory import keep_freed_memory, trim_when_quiet
from ingestor.pipeline.accounting import Accounting
from ingestor.pipeline.buffer import BatchRules, Buffer
from ingestor.pipeline.decode import Decoder
from ingestor.pipeline.flusher import Flusher
from ingestor.pipeline.health import DatabaseHealth
from ingestor.pipeline.held import HeldKeys
from ingestor.pipeline.ingest import Ingest
from ingestor.pipeline.points_limit import PointsLimit
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.settlement import Settlement
from ingestor.pipeline.validate import Limits
from ingestor.points import Ack
from ingestor.storage.flush import FlushSettings
from ingestor.storage.registration import Registrar
from ingestor.storage.rejects import RejectSampler
from ingestor.storage.series import NewSeriesLimit
from ingestor.storage.writer import PostgresWriter
from ingestor.telemetry.metrics import Metrics, PointsCollector
from ingestor.telemetry.phases import Phases
from ingestor.telemetry.tracing import Tracing, make_exporter

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_ABANDONED = 3
"""Exit code where buffered points were given up."""

_CLOSE_RESERVE_S = 5.0
"""Part of the grace that is kept for closing once draining has ended."""
_ANSWERING_S = 0.5
"""Time for answers that are decided to leave."""
_WATCH_INTERVAL_S = 0.5
_GC_OBJECTS = 50_000
"""Objects more than before that make the garbage collector look at the youngest; by default 700.

With that it took 5 % of the time of rows and 10 % of single calls (measured) and found hardly anything. What it is
there for, cycles of gRPC's that hold a message, is collected twice a second by ``_watch`` instead.
"""


class Runtime:
    """One ingestor process; all parts live on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics(CollectorRegistry())
        self._tracing = self._start_tracing()
        tracer = self._tracing.tracer if self._tracing else None
        clock = time.monotonic
        self._buffer = Buffer(BatchRules.from_settings(settings), clock)
        self._health = DatabaseHealth(self._metrics)
        accounting, keys = Accounting(), HeldKeys()
        settlement = Settlement(self._buffer, keys, accounting)
        limits = Limits.from_settings(settings)
        self._flusher = Flusher(
            self._writers(tracer),
            self._buffer,
            settlement,
            self._health,
            self._metrics,
            commit_timeout_s=settings.commit_timeout_s,
            clock=clock,
            retention=limits.retention,
            tracer=tracer,
        )
        self._ingest = Ingest(
            Decoder(limits, SeriesCache(limits, settings.series_cache_bytes)),
            self._buffer,
            keys,
            settlement,
            accounting,
            self._health,
            self._flusher,
            PointsLimit(settings.points_per_s, clock),
            ack=Ack[settings.ack.upper()],
            minimum_ack=Ack[settings.minimum_ack.upper()],
            deduplication_window_min=settings.deduplication_window_min,
            clock=clock,
        )
        permits = Permits(settings.in_flight_bytes // settings.message_bytes, settings.receive_timeout_s)
        self._permits = permits
        self._reception = Reception(permits, self._flusher.drain_s)
        calls = Calls(SERVICE, self._tracing.tracer, self._tracing.sampling) if self._tracing else None
        service = AnalyticsService(self._ingest, self._reception, self._metrics, self._flusher.drain_s, calls)
        self.grpc = GrpcServer(settings, service)
        self.http = HttpServer(
            settings.http_host,
            settings.http_port,
            self._metrics.registry,
            ready=lambda: self.ready,
            status=self._status,
        )
        self._metrics.registry.register(PointsCollector(self._ingest))
        self._metrics.buffer_limit_bytes.set(settings.buffer_bytes)
        self._metrics.receiving_limit.set(permits.limit)
        self._metrics.receiving.set_function(lambda: permits.taken)
        self._metrics.receiving_waits.set_function(lambda: permits.waiting)
        self.ready = False
        self.serving = asyncio.Event()
        self._started_at = time.time()

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until ``stop`` is set, then drain; return the exit code."""
        gc.set_threshold(_GC_OBJECTS)
        keep_freed_memory()
        try:
            await self.http.start()
            await self.grpc.start()
            self.ready = True
            self.serving.set()
            logger.info("serving", extra={"grpc_port": self.grpc.port, "http_port": self.http.port})
            async with self._background():
                await stop.wait()
                await self._drain()
        finally:
            self._ingest.close()
            lost = self._flusher.abandon()
            await self.grpc.stop(_ANSWERING_S)
            await self.http.stop()
            if self._tracing is not None:
                await self._tracing.close()
        logger.info("stopped", extra={"abandoned": lost})
        return EXIT_ABANDONED if lost else EXIT_OK

    async def _drain(self) -> None:
        """Refuse new work, answer what is in flight, store what is held."""
        logger.info("draining", extra={"held": self._buffer.points})
        self.ready = False
        self._ingest.close()
        await self.grpc.report_stopping()
        await self._flusher.drain(self._settings.shutdown_grace_s - _CLOSE_RESERVE_S)

    @contextlib.asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """Run lanes and watcher; a fault in either ends the process with its traceback."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(run)
                for run in (self._flusher.run(), self._reception.run(), self._watch(), trim_when_quiet(self._is_busy))
            ]
            yield
            for task in background:
                task.cancel()

    async def _watch(self) -> None:
        """Measure how late the event loop is, tell health checks of the database, collect young garbage."""
        up: bool | None = None
        while True:
            before = time.monotonic()
            await asyncio.sleep(_WATCH_INTERVAL_S)
            self._metrics.event_lag.set(max(0.0, time.monotonic() - before - _WATCH_INTERVAL_S))
            gc.collect(1)
            if up is not self._health.up:
                up = self._health.up
                await self.grpc.report_database(up=up)

    def _is_busy(self) -> bool:
        """Tell whether messages come in or points wait."""
        return self._permits.wanted.is_set() or self._buffer.points > 0

    def _start_tracing(self) -> Tracing | None:
        settings = self._settings
        if not settings.traces_endpoint:
            return None
        return Tracing(
            make_exporter(settings.traces_endpoint),
            self._metrics.spans_dropped,
            instance=self._pod,
            sample_ratio=settings.traces_sample_ratio,
        )

    @property
    def _pod(self) -> str:
        return self._settings.pod_name or platform.node()

    def _writers(self, tracer: Tracer | None) -> list[PostgresWriter]:
        settings = self._settings
        flush = FlushSettings(
            pod=self._pod,
            deduplication_window_min=settings.deduplication_window_min,
            registrar=Registrar(NewSeriesLimit(settings.new_series_per_s)),
            rejects=RejectSampler(),
            phases=Phases(self._metrics.flush_seconds, tracer),
        )
        url = settings.database_url.get_secret_value()
        return [PostgresWriter(url, settings.database_schema, flush) for _ in range(settings.connections)]

    def _status(self) -> Status:
        points = self._ingest.snapshot()
        return {
            "ready": self.ready,
            "started_at": self._started_at,
            "database_up": self._health.up,
            "refusing": self._health.blocked,
            "last_commit_at": self._health.last_commit_at,
            "last_error": self._health.last_error,
            "refused_by_database": self._health.refusal,
            "received": points.received,
            "outcomes": {**points.outcomes, "rejected": sum(points.rejected.values())},
            "held": points.held,
            "oldest_held_seconds": round(points.oldest_held_s, 3),
            "buffer_bytes": points.buffer_bytes,
        }
