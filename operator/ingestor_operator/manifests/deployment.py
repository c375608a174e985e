"""The Deployment: pods that satisfy pod security ``restricted`` and lose nothing when they are replaced."""

from typing import Any

from ingestor_operator.manifests.environment import CA_PATH, DRAIN_S, environment
from ingestor_operator.manifests.facts import Facts, Manifest, build, digest, labels, selector
from ingestor_operator.resource.delivery import HTTP_PORT
from ingestor_operator.resource.ingestor import GROUP, Ingestor, IngestorSpec
from ingestor_operator.resource.workload import Pod

CONTAINER = "ingestor"
CREDENTIALS_ANNOTATION = f"{GROUP}/credentials"
TEMPLATE_ANNOTATION = f"{GROUP}/template"
GENERATION_ANNOTATION = f"{GROUP}/spec"
CONNECTIONS_ANNOTATION = f"{GROUP}/connections"

USER_ID = 65532
SURGE_PODS = 1
MIN_READY_S = 10
PROGRESS_DEADLINE_S = 120
PRE_STOP_S = 5
"""Endpoints forget a pod only some time after its deletion: until then it serves on, so that no call is refused."""
GRACE_S = PRE_STOP_S + DRAIN_S + 5


def build_deployment(ingestor: Ingestor, spec: IngestorSpec, facts: Facts) -> Manifest:
    """Return the Deployment; its annotations say which template and which spec it comes from."""
    template = pod_template(ingestor, spec, facts)
    return build(
        "apps/v1",
        "Deployment",
        ingestor,
        {
            "replicas": spec.replicas,
            "selector": {"matchLabels": selector(ingestor.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SURGE_PODS, "maxUnavailable": 0}},
            "minReadySeconds": MIN_READY_S,
            "progressDeadlineSeconds": PROGRESS_DEADLINE_S,
            "revisionHistoryLimit": 3,
            "template": template,
        },
        annotations={
            TEMPLATE_ANNOTATION: digest(template),
            GENERATION_ANNOTATION: cause(spec, facts),
            CONNECTIONS_ANNOTATION: connections_note(spec, facts.connections),
        },
    )


def connections_note(spec: IngestorSpec, connections: int) -> str:
    """Return the connections of each pod, and the bound that they come from."""
    return f"{connections} of {spec.database.max_connections}"


def cause(spec: IngestorSpec, facts: Facts) -> str:
    """Return a hash of what users change: a template that differs while this does not comes from a new operator.

    Defaults are left out: a new CRD brings some for fields that there were not, and nobody has changed anything.
    """
    chosen = spec.model_dump(by_alias=True, exclude_defaults=True, exclude={"replicas"})
    return digest([chosen, facts.credentials, facts.connections])


def pod_template(ingestor: Ingestor, spec: IngestorSpec, facts: Facts) -> dict[str, Any]:
    """Return metadata and specification of the pods."""
    pod = spec.pod
    volumes, mounts = _authorities(spec)
    specification: dict[str, Any] = {
        "serviceAccountName": ingestor.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": _spread(ingestor, pod),
        "containers": [_container(spec, facts, mounts)],
        **volumes,
        **_scheduling(pod),
    }
    return {
        "metadata": {
            "labels": {**(pod.labels or {}), **labels(ingestor.name)},
            "annotations": {**(pod.annotations or {}), CREDENTIALS_ANNOTATION: facts.credentials},
        },
        "spec": specification,
    }


def _container(spec: IngestorSpec, facts: Facts, mounts: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": facts.image,
        "command": ["ingestor", "serve"],
        "env": environment(spec, facts),
        "ports": [
            {"name": "grpc", "containerPort": spec.server.port, "protocol": "TCP"},
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        # HTTP and not grpc probes: those know no TLS in Kubernetes 1.35. None depends on the database.
        "startupProbe": _probe("/livez", period_s=1, failures=60),
        "livenessProbe": _probe("/livez", period_s=10, failures=6),
        "readinessProbe": _probe("/readyz", period_s=2, failures=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_S}}},
        # The last lines of a crash reach the object's condition without anybody reading logs.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": spec.pod.resources.model_dump(by_alias=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **mounts,
    }


def _probe(path: str, *, period_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(ingestor: Ingestor, pod: Pod) -> list[dict[str, Any]]:
    if pod.topology_spread_constraints is not None:
        return pod.topology_spread_constraints
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(ingestor.name)},
        }
    ]


def _scheduling(pod: Pod) -> dict[str, Any]:
    chosen = {
        "nodeSelector": pod.node_selector,
        "affinity": pod.affinity,
        "priorityClassName": pod.priority_class_name,
        "tolerations": [item.model_dump(by_alias=True, exclude_none=True) for item in pod.tolerations or []],
        "imagePullSecrets": [item.model_dump() for item in pod.image_pull_secrets or []],
    }
    return {name: value for name, value in chosen.items() if value}


def _authorities(spec: IngestorSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return volume and mount of the database's certificate authorities, both empty where none are named."""
    reference = spec.database.tls.ca_secret_ref
    if reference is None:
        return {}, {}
    secret = {"secretName": reference.name, "items": [{"key": reference.key, "path": reference.key}]}
    mount = {"name": "database-ca", "mountPath": CA_PATH, "readOnly": True}
    return {"volumes": [{"name": "database-ca", "secret": secret}]}, {"volumeMounts": [mount]}
