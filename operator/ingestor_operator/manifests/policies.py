"""What protects the pods: the disruption budget, the network policy, and the account that may do nothing."""

from typing import Any

from ingestor_operator.manifests.facts import Facts, Manifest, build, selector
from ingestor_operator.resource.delivery import HTTP_PORT
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec

DNS_PORT = 53


def build_service_account(ingestor: Ingestor) -> Manifest:
    """Return the pods' account; it has no rights, and no token is mounted."""
    return build("v1", "ServiceAccount", ingestor, None, automountServiceAccountToken=False)


def build_disruption_budget(ingestor: Ingestor) -> Manifest:
    """Return the budget; ``maxUnavailable``, because ``minAvailable`` with one pod would block every drain."""
    body = {"maxUnavailable": 1, "selector": {"matchLabels": selector(ingestor.name)}}
    return build("policy/v1", "PodDisruptionBudget", ingestor, body)


def build_network_policy(ingestor: Ingestor, spec: IngestorSpec, facts: Facts) -> Manifest:
    """Return the policy: gRPC and metrics in, DNS and the database out."""
    policy = spec.network_policy
    body = {
        "podSelector": {"matchLabels": selector(ingestor.name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_rule(spec.server.port, policy.from_), _rule(HTTP_PORT, policy.metrics_from)],
        "egress": [
            {"ports": [_port(DNS_PORT, "UDP"), _port(DNS_PORT, "TCP")]},
            {"ports": [_port(facts.database_port, "TCP")]},
        ],
    }
    return build("networking.k8s.io/v1", "NetworkPolicy", ingestor, body)


def _rule(port: int, peers: list[dict[str, Any]] | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [_port(port, "TCP")]}
    return rule if peers is None else {**rule, "from": peers}


def _port(port: int, protocol: str) -> dict[str, Any]:
    return {"port": port, "protocol": protocol}
