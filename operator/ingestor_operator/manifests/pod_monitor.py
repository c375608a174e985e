"""The PodMonitor, for clusters that run the Prometheus operator."""

from ingestor_operator.manifests.facts import APP, Manifest, build, selector
from ingestor_operator.resource.ingestor import Ingestor
from ingestor_operator.resource.workload import PodMonitor

_RELABELINGS = [
    {"targetLabel": "job", "replacement": APP},
    {"targetLabel": "ingestor", "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"]},
]
"""The labels that alerts and dashboards tell servers by."""


def build_pod_monitor(ingestor: Ingestor, monitor: PodMonitor) -> Manifest:
    """Return the PodMonitor; the labels that Prometheus selects by come on top of ours."""
    body = {
        "selector": {"matchLabels": selector(ingestor.name)},
        "podMetricsEndpoints": [
            {"port": "http", "path": "/metrics", "interval": monitor.interval, "relabelings": _RELABELINGS}
        ],
    }
    return build("monitoring.coreos.com/v1", "PodMonitor", ingestor, body, further_labels=monitor.labels)
