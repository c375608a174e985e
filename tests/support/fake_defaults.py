"""What an API server adds to objects when it stores them, and leaves out: defaults, empty values, quantities.

Source: the defaulting functions and ``omitempty`` tags of the Kubernetes API, 1.35.
"""

from copy import deepcopy
from typing import Any

from lightkube.utils.quantity import parse_quantity

Manifest = dict[str, Any]

_FALSE_IS_LEFT_OUT = {"publishNotReadyAddresses", "hostNetwork", "hostPID", "hostIPC", "paused"}
_MAY_BE_EMPTY = {"emptyDir", "podSelector", "namespaceSelector", "securityContext", "labelSelector", "labels"}
_MAY_BE_EMPTY |= {"matchLabels", "annotations", "nodeSelector"}


def stored(body: Manifest) -> Manifest:
    """Return what a server has stored, and gives back, when ``body`` is written."""
    body = _without_empty(deepcopy(body))
    add = {"Deployment": _deployment, "Service": _service, "HorizontalPodAutoscaler": _autoscaler}.get(body["kind"])
    if add is not None:
        add(body)
    return body


def with_schema_defaults(value: Any, schema: Manifest) -> Any:
    """Return a custom resource's ``value`` with the defaults of its schema, and without fields that are not in it."""
    if isinstance(value, list):
        return [with_schema_defaults(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    known = {name: part for name, part in value.items() if name in schema["properties"] and part is not None}
    for name, part in schema["properties"].items():
        if name not in known and "default" in part:
            known[name] = deepcopy(part["default"])
    return {name: with_schema_defaults(part, schema["properties"][name]) for name, part in known.items()}


def _without_empty(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    if name in ("labels", "annotations", "matchLabels", "nodeSelector"):
        return value
    if name in ("requests", "limits"):
        return {key: _canonical(str(amount)) for key, amount in value.items()}
    return {
        key: _without_empty(part, key)
        for key, part in value.items()
        if part is not None
        and not (part in ({}, [], "") and key not in _MAY_BE_EMPTY)
        and not (part is False and key in _FALSE_IS_LEFT_OUT)
    }


def _canonical(quantity: str) -> str:
    """Return a quantity as the server writes it, as far as tests use them: 1000m as 1, 0.5 as 500m."""
    amount = parse_quantity(quantity)
    assert amount is not None
    if quantity[-1].isdigit() or quantity.endswith("m"):
        return f"{int(amount)}" if amount == int(amount) else f"{int(amount * 1000)}m"
    return quantity


def _deployment(body: Manifest) -> None:
    pod = body["spec"]["template"]["spec"]
    body["spec"].setdefault("replicas", 1)
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("dnsPolicy", "ClusterFirst")
    pod.setdefault("schedulerName", "default-scheduler")
    pod.setdefault("serviceAccount", pod.get("serviceAccountName"))
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            volume["secret"].setdefault("defaultMode", 0o644)
    for container in pod["containers"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            if name in container:
                container[name].setdefault("successThreshold", 1)
                container[name]["httpGet"].setdefault("scheme", "HTTP")
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("fieldRef")
            if reference is not None:
                reference.setdefault("apiVersion", "v1")


def _service(body: Manifest) -> None:
    spec = body["spec"]
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("clusterIP", "10.0.0.1")
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] != "ClusterIP":
        spec.setdefault("externalTrafficPolicy", "Cluster")
        for port in spec["ports"]:
            port.setdefault("nodePort", 30_000)


def _autoscaler(body: Manifest) -> None:
    for direction in body["spec"].get("behavior", {}).values():
        direction.setdefault("selectPolicy", "Max")
