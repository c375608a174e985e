"""All objects of an Ingestor, and the kinds that there are."""

from dataclasses import dataclass

from ingestor_operator.manifests.autoscaler import build_autoscaler
from ingestor_operator.manifests.deployment import build_deployment
from ingestor_operator.manifests.facts import Facts, Manifest
from ingestor_operator.manifests.pod_monitor import build_pod_monitor
from ingestor_operator.manifests.policies import (
    build_disruption_budget,
    build_network_policy,
    build_service_account,
)
from ingestor_operator.manifests.services import build_headless_service, build_service
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object that we make; ``optional`` ones are removed when no longer asked for."""

    group: str
    version: str
    kind: str
    plural: str
    optional: bool = False

    @property
    def api_version(self) -> str:
        """Return group and version as manifests have them."""
        return f"{self.group}/{self.version}" if self.group else self.version


DEPLOYMENTS = Kind("apps", "v1", "Deployment", "deployments")
POD_MONITORS = Kind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", optional=True)
SERVICE_ACCOUNTS = Kind("", "v1", "ServiceAccount", "serviceaccounts")
KINDS = (
    SERVICE_ACCOUNTS,
    Kind("", "v1", "Service", "services"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", optional=True),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", optional=True),
    DEPLOYMENTS,
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", optional=True),
    Kind("", "v1", "ConfigMap", "configmaps", optional=True),
)
"""In the order in which they are applied: what pods need comes before them."""


def kinds(*, pod_monitors: bool) -> tuple[Kind, ...]:
    """Return the kinds that are watched and made."""
    return (*KINDS, POD_MONITORS) if pod_monitors else KINDS


def build_children(
    ingestor: Ingestor, spec: IngestorSpec, facts: Facts, *, pod_monitors: bool = True
) -> list[Manifest]:
    """Return every object that shall be there, in the order of ``KINDS``; PodMonitors only where they may be made."""
    children = [
        build_service_account(ingestor),
        build_service(ingestor, spec),
        build_headless_service(ingestor, spec),
    ]
    if spec.pod_disruption_budget.enabled:
        children.append(build_disruption_budget(ingestor))
    if spec.network_policy.enabled:
        children.append(build_network_policy(ingestor, spec, facts))
    children.append(build_deployment(ingestor, spec, facts))
    if spec.autoscaling is not None:
        children.append(build_autoscaler(ingestor, spec.autoscaling))
    if spec.observability.pod_monitor.enabled and pod_monitors:
        children.append(build_pod_monitor(ingestor, spec.observability.pod_monitor))
    return children
