"""A Prometheus beside a namespace of the cluster, with the labels that the chart's PodMonitors give."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.kube import CHART, Site
from support.prometheus import Prometheus, Target, find_prometheus, prometheus_server

ALERTS = CHART / "files" / "alerts" / "analytics-ingestor.yaml"


@contextmanager
def watched(site: Site, folder: Path, rules: Path = ALERTS, name: str = "metrics") -> Iterator[Prometheus]:
    """Scrape the pods of an Ingestor and of the operator, those that there are now, through forwarded ports."""
    program = find_prometheus("prometheus")
    kinds = (
        ("ingest", 9090, {"job": "analytics-ingestor", "namespace": site.namespace, "ingestor": name}),
        ("operator", 8080, {"job": "ingestor-operator"}),
    )
    with ExitStack() as stack:
        targets = [
            Target(stack.enter_context(site.port_forward(f"pod/{pod}", port)), {**labels, "pod": pod})
            for component, port, labels in kinds
            for pod in sorted(
                found["metadata"]["name"] for found in site.list("pods", f"app.kubernetes.io/component={component}")
            )
        ]
        yield stack.enter_context(prometheus_server(program, folder, targets, [rules]))
