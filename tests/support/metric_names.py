"""Every series that servers and operator can have, from the metrics as they are defined."""

from prometheus_client import CollectorRegistry

from ingestor.telemetry.metrics import Metrics, PointsCollector, PointsSnapshot
from ingestor_operator.metrics import ConditionsCollector
from ingestor_operator.metrics import Metrics as OperatorMetrics

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


class _NoPoints:
    def snapshot(self) -> PointsSnapshot:
        return PointsSnapshot(
            received=0, outcomes={}, rejected={}, held=0, oldest_held_s=0, buffer_bytes=0, series=0,
            series_cache_bytes=0,
        )  # fmt: skip


def defined_metrics() -> set[str]:
    """Return the names of all series, and of those that Prometheus adds."""
    servers, operator = CollectorRegistry(), CollectorRegistry()
    Metrics(servers)
    servers.register(PointsCollector(_NoPoints()))
    OperatorMetrics(operator)
    operator.register(ConditionsCollector(list))
    families = [*servers.collect(), *operator.collect()]
    return {"up"} | {family.name + suffix for family in families for suffix in _SUFFIXES.get(family.type, ("",))}
