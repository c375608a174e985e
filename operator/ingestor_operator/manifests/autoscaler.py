"""The HorizontalPodAutoscaler. It scales the Ingestor, so that one writer alone sets the Deployment's replicas."""

from typing import Any

from ingestor_operator.manifests.facts import Manifest, build
from ingestor_operator.resource.ingestor import API_VERSION, KIND, Ingestor
from ingestor_operator.resource.workload import Autoscaling

_BEHAVIOR: dict[str, Any] = {
    # Slow on purpose: a slow database does not get faster by more pods, and each pod brings connections.
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 600,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
    },
}


def build_autoscaler(ingestor: Ingestor, autoscaling: Autoscaling) -> Manifest:
    """Return the autoscaler."""
    utilization = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage}
    body = {
        "scaleTargetRef": {"apiVersion": API_VERSION, "kind": KIND, "name": ingestor.name},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        "behavior": autoscaling.behavior or _BEHAVIOR,
    }
    return build("autoscaling/v2", "HorizontalPodAutoscaler", ingestor, body)
