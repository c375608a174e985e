"""The Services: one address for any client, and one that resolves to every pod for clients that balance themselves."""

from typing import Any

from ingestor_operator.manifests.facts import Manifest, build, selector
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec


def build_service(ingestor: Ingestor, spec: IngestorSpec) -> Manifest:
    """Return the Service that clients connect to."""
    body = {"type": spec.service.type, "selector": selector(ingestor.name), "ports": _ports(spec)}
    return build("v1", "Service", ingestor, body, annotations=spec.service.annotations)


def build_headless_service(ingestor: Ingestor, spec: IngestorSpec) -> Manifest:
    """Return the Service whose name resolves to the ready pods; its port is the container's, there is no other."""
    body = {
        "clusterIP": "None",
        "selector": selector(ingestor.name),
        "ports": _ports(spec),
    }
    return build("v1", "Service", ingestor, body, name=headless_name(ingestor.name))


def headless_name(name: str) -> str:
    """Return the name of the headless Service."""
    return f"{name}-headless"


def _ports(spec: IngestorSpec) -> list[dict[str, Any]]:
    return [
        {"name": "grpc", "port": spec.server.port, "targetPort": "grpc", "protocol": "TCP", "appProtocol": "grpc"},
    ]
