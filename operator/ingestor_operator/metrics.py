"""Every Prometheus metric of the operator: name, unit, labels, meaning."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)


class Metrics:
    """The metrics that are set where things happen."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.reconciles = Counter(
            "ingestor_operator_reconciles_total", "Reconciles by result.", ["result"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            "ingestor_operator_reconcile_seconds", "Time of one reconcile.", buckets=_BUCKETS_S, registry=registry
        )
        self.writes = Counter(
            "ingestor_operator_writes_total", "Writes to the API server by kind and verb.", ["kind", "verb"],
            registry=registry,
        )  # fmt: skip
        self.schema_checks = Counter(
            "ingestor_operator_schema_checks_total", "Looks at a database by reason of SchemaApplied.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.schema_steps = Counter(
            "ingestor_operator_schema_steps_total", "Steps that were carried out in databases.", registry=registry
        )
        self.queue_depth = Gauge("ingestor_operator_queue_depth", "Ingestors that are due now.", registry=registry)
        self.queue_oldest = Gauge(
            "ingestor_operator_queue_oldest_seconds", "How long the first of them has been due.", registry=registry
        )
        self.longest_running = Gauge(
            "ingestor_operator_longest_running_seconds", "Age of the oldest reconcile under way.", registry=registry
        )
        self.last_event = Gauge(
            "ingestor_operator_last_event_timestamp_seconds", "Unix time of the last event of a watch.",
            registry=registry,
        )  # fmt: skip
        self.last_resync = Gauge(
            "ingestor_operator_last_resync_timestamp_seconds", "Unix time of the last complete listing.",
            registry=registry,
        )  # fmt: skip


class ConditionsCollector(Collector):
    """Expose each condition of each Ingestor: 1 where it is True, 0 where it is False, -1 where it is unknown."""

    def __init__(self, ingestors: Callable[[], Iterable[dict[str, Any]]]) -> None:
        self._ingestors = ingestors

    def collect(self) -> Iterable[Metric]:
        """Read the objects once."""
        family = GaugeMetricFamily(
            "ingestor_operator_condition",
            "Conditions of Ingestors: 1 True, 0 False, -1 Unknown.",
            labels=["namespace", "ingestor", "condition", "reason"],
        )
        values = {"True": 1, "False": 0}
        for body in self._ingestors():
            metadata = body["metadata"]
            for item in (body.get("status") or {}).get("conditions") or []:
                names = [metadata["namespace"], metadata["name"], item["type"], item["reason"]]
                family.add_metric(names, values.get(item["status"], -1))
        yield family
