"""Kubernetes' pod security standard "restricted", as rules on a pod's spec.

Source: Kubernetes documentation, "Pod Security Standards", profile Restricted.
"""

from collections.abc import Iterator
from typing import Any

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")
CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


def pod_spec(item: dict[str, Any]) -> dict[str, Any] | None:
    """Return the spec of the pod that ``item`` is or makes; None where it has none."""
    if item["kind"] == "Pod":
        return dict(item["spec"])
    if item["kind"] in CONTROLLERS:
        return dict(item["spec"]["template"]["spec"])
    return None


def violations(spec: dict[str, Any]) -> list[str]:
    """Return what of ``spec`` the profile forbids, in words."""
    return [*_of_pod(spec), *(fault for container in containers(spec) for fault in _of_container(spec, container))]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers, those of the start among them."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    yield from (f"{field} is set" for field in HOST_FIELDS if spec.get(field))
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= ALLOWED_VOLUMES:
            yield f"volume {volume['name']} is a {kinds}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are set"


def _of_container(spec: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    name, pod = container["name"], spec.get("securityContext", {})
    own = container.get("securityContext", {})
    merged = {**pod, **own}
    if merged.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if merged.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    if merged.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{name}: no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if own.get("privileged"):
        yield f"{name}: is privileged"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities are not dropped"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"{name}: has a host port"
