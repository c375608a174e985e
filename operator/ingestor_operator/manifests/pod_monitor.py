"""The PodMonitor, for clusters that run the Prometheus operator."""

from ingestor_operator.manifests.facts import Manifest, build, selector
from ingestor_operator.resource.ingestor import Ingestor
from ingestor_operator.resource.workload import PodMonitor


def build_pod_monitor(ingestor: Ingestor, monitor: PodMonitor) -> Manifest:
    """Return the PodMonitor; the labels that Prometheus selects by come on top of ours."""
    body = {
        "selector": {"matchLabels": selector(ingestor.name)},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": monitor.interval}],
    }
    return build("monitoring.coreos.com/v1", "PodMonitor", ingestor, body, further_labels=monitor.labels)
