"""What an Ingestor's objects depend on besides its spec, and the metadata that all of them share."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ingestor_operator.resource.ingestor import API_VERSION, GROUP, KIND, Ingestor

Manifest = dict[str, Any]

MANAGED_BY = "ingestor-operator"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
DESIRED_ANNOTATION = f"{GROUP}/desired"
"""Hash of what was asked for: shows fields that we no longer ask for, which a comparison of values cannot."""

APP = "analytics-ingestor"


@dataclass(frozen=True, slots=True)
class Facts:
    """``credentials`` is a hash of the writer's Secret, ``has_uri`` tells whether its uri is used."""

    image: str
    connections: int
    credentials: str
    has_uri: bool
    database_port: int


def selector(name: str) -> dict[str, str]:
    """Return the labels that tell the pods of one Ingestor from all others."""
    return {
        "app.kubernetes.io/name": APP,
        INSTANCE_LABEL: name,
        "app.kubernetes.io/component": "ingest",
    }


def selector_text(name: str) -> str:
    """Return ``selector`` as the API takes it in a query."""
    return ",".join(f"{key}={value}" for key, value in selector(name).items())


def labels(name: str) -> dict[str, str]:
    """Return the labels of every object of one Ingestor."""
    return {**selector(name), MANAGED_BY_LABEL: MANAGED_BY}


def build(
    api_version: str,
    kind: str,
    ingestor: Ingestor,
    spec: Manifest | None,
    *,
    name: str | None = None,
    annotations: dict[str, str] | None = None,
    further_labels: dict[str, str] | None = None,
    **rest: Any,
) -> Manifest:
    """Return an object with labels, owner and the hash of what is asked for."""
    manifest: Manifest = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name or ingestor.name,
            "namespace": ingestor.namespace,
            "labels": {**(further_labels or {}), **labels(ingestor.name)},
            "annotations": dict(annotations or {}),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": ingestor.name,
                    "uid": ingestor.uid,
                    # Without blockOwnerDeletion, which some clusters allow only with rights on our finalizers.
                    "controller": True,
                }
            ],
        },
        **rest,
    }
    if spec is not None:
        manifest["spec"] = spec
    manifest["metadata"]["annotations"][DESIRED_ANNOTATION] = digest(manifest)
    return manifest


def digest(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
