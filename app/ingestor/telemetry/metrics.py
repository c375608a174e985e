"""Every Prometheus metric of the service: name, unit, labels, meaning.

Counters that must add up are not here but read from the pipeline's accounts in one snapshot, see ``PointsCollector``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_ACK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_PHASE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_ROWS_BUCKETS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)


@dataclass(frozen=True, slots=True)
class PointsSnapshot:
    """The accounts at one moment: ``received`` = the sum of ``outcomes`` and ``rejected``, plus ``held``."""

    received: int
    outcomes: Mapping[str, int]
    rejected: Mapping[str, int]
    held: int
    oldest_held_s: float
    buffer_bytes: int
    series: int
    series_cache_bytes: int


class PointsSource(Protocol):
    """Whoever keeps the accounts."""

    def snapshot(self) -> PointsSnapshot:
        """Return the accounts, consistent with each other."""


class PointsCollector(Collector):
    """Expose one snapshot of the accounts, so that their sum holds in every scrape."""

    def __init__(self, source: PointsSource) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """Read the accounts once."""
        now = self._source.snapshot()
        yield CounterMetricFamily("ingestor_points_received", "Points received in valid requests.", now.received)
        outcomes = {**now.outcomes, "rejected": sum(now.rejected.values())}
        yield _counter("ingestor_points", "Points by what became of them.", "outcome", outcomes)
        yield _counter("ingestor_points_rejected", "Points that can't be stored, by reason.", "reason", now.rejected)
        yield GaugeMetricFamily("ingestor_points_held", "Points received that have no outcome yet.", now.held)
        yield GaugeMetricFamily(
            "ingestor_oldest_held_seconds", "Age of the oldest request without an outcome.", now.oldest_held_s
        )
        yield GaugeMetricFamily(
            "ingestor_buffer_bytes", "Memory of points that wait or are being stored.", now.buffer_bytes
        )
        yield GaugeMetricFamily("ingestor_series_cache_series", "Series in the cache.", now.series)
        yield GaugeMetricFamily("ingestor_series_cache_bytes", "Memory of the series cache.", now.series_cache_bytes)


class Metrics:
    """The metrics that are set where things happen."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "ingestor_requests_total",
            "Calls by their gRPC status and, where not OK, the reason.",
            ["method", "code", "reason"],
            registry=registry,
        )
        self.refused = Counter(
            "ingestor_refused_total", "Requests refused that may succeed later.", ["reason"], registry=registry
        )
        self.ack_seconds = Histogram(
            "ingestor_ack_seconds",
            "From a request's arrival in the handler to its answer, OK answers only.",
            ["ack"],
            buckets=_ACK_BUCKETS_S,
            registry=registry,
        )
        self.flush_rows = Histogram("ingestor_flush_rows", "Rows per flush.", buckets=_ROWS_BUCKETS, registry=registry)
        self.flush_seconds = Histogram(
            "ingestor_flush_seconds",
            "Time of a flush by phase, of those it has: series, ledger, copy, rejects, commit.",
            ["phase"],
            buckets=_PHASE_BUCKETS_S,
            registry=registry,
        )
        self.database_errors = Counter(
            "ingestor_database_errors_total", "Failed flushes and connects by class.", ["class"], registry=registry
        )
        self.database_up = Gauge(
            "ingestor_database_up", "1 where at least one connection can write.", registry=registry
        )
        self.last_commit = Gauge(
            "ingestor_last_commit_timestamp_seconds",
            "Unix time of the last commit; 0 before the first.",
            registry=registry,
        )
        self.buffer_limit_bytes = Gauge(
            "ingestor_buffer_limit_bytes", "Bound of ingestor_buffer_bytes.", registry=registry
        )
        self.spans_dropped = Counter(
            "ingestor_trace_spans_dropped_total",
            "Recorded spans that did not reach the collector: queue_full, not_delivered.",
            ["reason"],
            registry=registry,
        )
        self.receiving = Gauge("ingestor_receiving_messages", "Messages being received.", registry=registry)
        self.receiving_limit = Gauge(
            "ingestor_receiving_limit_messages", "Bound of ingestor_receiving_messages.", registry=registry
        )
        self.receiving_waits = Gauge(
            "ingestor_receiving_waiting_calls", "Calls whose message waits to be received.", registry=registry
        )
        self.event_lag = Gauge(
            "ingestor_event_lag_seconds", "How late the event loop ran its last tick.", registry=registry
        )


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
