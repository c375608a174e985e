"""An API server in memory, behind lightkube's real client: what the operator sends is what a server would get.

It imitates storage, server-side apply, patches, finalizers, generations and versions; ``cluster_contract`` runs on it
and on a real cluster. No controller runs in it: tests say what Deployments and pods do (``fake_workloads``).
"""

import json
from collections.abc import Callable
from copy import deepcopy

import httpx2
from lightkube import AsyncClient
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import Cluster as Address
from lightkube.config.models import Context, User

from ingestor_operator.cluster import INGESTORS, Cluster, OnWrite, kind_of
from ingestor_operator.crd import build_crd
from ingestor_operator.manifests.children import KINDS, POD_MONITORS, Kind
from ingestor_operator.manifests.facts import MANAGED_BY
from support.fake_defaults import stored, with_schema_defaults
from support.fake_objects import ConflictError, Manifest, Stored, merge

PODS = Kind("", "v1", "Pod", "pods")
SECRETS = Kind("", "v1", "Secret", "secrets")
EVENTS = Kind("", "v1", "Event", "events")
_KINDS = {kind.plural: kind for kind in (INGESTORS, *KINDS, POD_MONITORS, PODS, SECRETS, EVENTS)}
_CREATED = "2026-01-01T00:00:{:02}Z"

Change = tuple[str, Manifest]
"""An event of a watch: ADDED, MODIFIED or DELETED, and the object."""


class ApiFaultError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class FakeApiServer(httpx2.AsyncBaseTransport):
    """Answers requests; ``changes`` is what watches would bring, ``faults`` may raise ``ApiFaultError`` for any."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Stored] = {}
        self.changes: list[Change] = []
        self.faults: list[Callable[[str, str, str], None]] = []
        self.requests: list[tuple[str, str, str]] = []
        self._version = 1000
        self._created = 0
        self.schema: Manifest = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return an object as it is stored."""
        found = self.objects.get((kind, namespace, name))
        return deepcopy(found.body) if found else None

    def of_kind(self, kind: str) -> list[Manifest]:
        """Return all objects of a kind."""
        return [deepcopy(found.body) for (name, _, _), found in self.objects.items() if name == kind]

    def create(self, body: Manifest, manager: str = "kubectl") -> Manifest:
        """Store a new object, as its manager sent it."""
        metadata = body["metadata"]
        key = (body["kind"], metadata["namespace"], metadata["name"])
        if key in self.objects:
            raise ApiFaultError(409, "AlreadyExists", f"{key[2]} already exists")
        self._created += 1
        identity = {
            "uid": f"uid-{self._created}",
            "generation": 1,
            "creationTimestamp": _CREATED.format(self._created % 60),
        }
        bare = {name: deepcopy(body[name]) for name in ("apiVersion", "kind")}
        entry = Stored(bare | {"metadata": {"name": metadata["name"], "namespace": metadata["namespace"], **identity}})
        entry.update({**body, "metadata": {**metadata, **identity}}, manager)
        if "status" in body and body["kind"] not in ("Ingestor", "Deployment"):
            entry.body["status"] = deepcopy(body["status"])
        self.objects[key] = entry
        return self._store(entry, None)

    def edit(self, kind: str, namespace: str, name: str, change: Manifest, manager: str = "kubectl") -> Manifest:
        """Change an object by a merge patch, as somebody other than the operator."""
        entry = self._find(kind, namespace, name)
        return self._write(entry, lambda: entry.update(merge(entry.body, change), manager))

    def set_status(self, kind: str, namespace: str, name: str, status: Manifest) -> Manifest:
        """Replace an object's status, as its controller."""
        entry = self._find(kind, namespace, name)
        before = deepcopy(entry.body)
        entry.body["status"] = deepcopy(status)
        return self._store(entry, before)

    def install_schema(self, schema: Manifest) -> None:
        """Take another version's schema of Ingestors; defaults appear in what is read, and no version changes."""
        self.schema = schema
        for entry in self.objects.values():
            entry.body = self._defaulted(entry.body)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; one with finalizers waits for them."""
        entry = self._find(kind, namespace, name)
        if not entry.body["metadata"].get("finalizers"):
            self._remove(entry)
        elif "deletionTimestamp" not in entry.body["metadata"]:
            before = deepcopy(entry.body)
            entry.body["metadata"] |= {
                "deletionTimestamp": "2026-01-02T00:00:00Z",
                "generation": entry.body["metadata"]["generation"] + 1,
            }
            self._store(entry, before)

    def collect_garbage(self) -> None:
        """Delete what belongs to objects that are gone."""
        while True:
            alive = {found.body["metadata"]["uid"] for found in self.objects.values()}
            orphans = [
                key
                for key, found in self.objects.items()
                if (owners := found.body["metadata"].get("ownerReferences"))
                and not any(owner["uid"] in alive for owner in owners)
            ]
            if not orphans:
                return
            for key in orphans:
                self._remove(self.objects[key])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        try:
            status, body = 200, self._answer(request, await request.aread())
        except ApiFaultError as fault:
            status = fault.code
            body = {"kind": "Status", "code": fault.code, "reason": fault.reason, "message": str(fault)}
        return httpx2.Response(status, json=body, request=request)

    def _answer(self, request: httpx2.Request, content: bytes) -> Manifest:
        kind, namespace, name, subresource = _parse(request.url.path)
        method, query = request.method, dict(request.url.params)
        self.requests.append((method, kind.kind, name))
        for fault in list(self.faults):
            fault(method, kind.kind, name)
        if method == "GET":
            return self._read(kind, namespace, name, query)
        if method == "POST":
            return self.create(json.loads(content) | {"kind": kind.kind}, query.get("fieldManager", "unknown"))
        if method == "DELETE":
            self._find(kind.kind, namespace, name)
            self.delete(kind.kind, namespace, name)
            return {"kind": "Status", "status": "Success"}
        media, change = request.headers["content-type"], json.loads(content)
        if subresource == "status":
            return self._patch_status(kind, namespace, name, change)
        if "apply-patch" in media:
            return self._apply(change, query["fieldManager"], force=query.get("force") == "true")
        entry = self._find(kind.kind, namespace, name)
        if "json-patch" in media:
            return self._set_finalizers(entry, change)
        manager = f"{query.get('fieldManager', 'unknown')}, updating"
        return self._write(entry, lambda: entry.update(merge(entry.body, change), manager))

    def _read(self, kind: Kind, namespace: str, name: str, query: dict[str, str]) -> Manifest:
        if name:
            return deepcopy(self._find(kind.kind, namespace, name).body)
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        found = [
            entry.body
            for (kind_name, place, name), entry in sorted(self.objects.items())
            if kind_name == kind.kind
            and namespace in ("", place)
            and query.get("fieldSelector", f"metadata.name={name}") == f"metadata.name={name}"
            and wanted.items() <= (entry.body["metadata"].get("labels") or {}).items()
        ]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found)
        rest = {"continue": str(start + limit)} if start + limit < len(found) else {}
        # As from a server, items of a list come without their kind.
        bare = ({name: part for name, part in body.items() if name not in ("apiVersion", "kind")} for body in found)
        items = deepcopy(list(bare)[start : start + limit])
        return {"kind": f"{kind.kind}List", "metadata": {"resourceVersion": str(self._version), **rest}, "items": items}

    def _apply(self, desired: Manifest, manager: str, *, force: bool) -> Manifest:
        metadata = desired["metadata"]
        key = (kind_of(desired).kind, metadata["namespace"], metadata["name"])
        if key not in self.objects:
            created = {name: part for name, part in desired.items() if name != "status"}
            return self.create(created, manager)
        entry = self.objects[key]
        return self._write(entry, lambda: entry.apply(desired, manager, force=force))

    def _patch_status(self, kind: Kind, namespace: str, name: str, change: Manifest) -> Manifest:
        entry = self._find(kind.kind, namespace, name)
        before = deepcopy(entry.body)
        entry.body["status"] = merge(entry.body.get("status"), change["status"])
        return self._store(entry, before)

    def _set_finalizers(self, entry: Stored, change: list[Manifest]) -> Manifest:
        test, add = change
        metadata = entry.body["metadata"]
        if metadata["resourceVersion"] != test["value"]:
            raise ApiFaultError(422, "Invalid", "the server rejected our request: testing a value failed")
        if "deletionTimestamp" in metadata and set(add["value"]) - set(metadata.get("finalizers") or []):
            raise ApiFaultError(422, "Invalid", "no new finalizers can be added if the object is being deleted")
        before = deepcopy(entry.body)
        metadata["finalizers"] = list(add["value"])
        if not add["value"]:
            del metadata["finalizers"]
        if "deletionTimestamp" in metadata and not add["value"]:
            return self._remove(entry)
        return self._store(entry, before)

    def _write(self, entry: Stored, change: Callable[[], None]) -> Manifest:
        before, owners = deepcopy(entry.body), deepcopy(entry.owners)
        try:
            change()
        except ConflictError as error:
            entry.body, entry.owners = before, owners
            raise ApiFaultError(409, "Conflict", f"Apply failed with 1 conflict: {error}") from error
        return self._store(entry, before)

    def _store(self, entry: Stored, before: Manifest | None) -> Manifest:
        """Fill in defaults, count versions, and tell watches; what has not changed is not written."""
        entry.body = self._defaulted(entry.body)
        if before is not None and entry.body == before:
            return deepcopy(entry.body)
        metadata = entry.body["metadata"]
        if before is not None and metadata["generation"] == before["metadata"]["generation"]:
            metadata["generation"] += _is_new_generation(before, entry.body)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self.changes.append(("ADDED" if before is None else "MODIFIED", deepcopy(entry.body)))
        return deepcopy(entry.body)

    def _defaulted(self, body: Manifest) -> Manifest:
        if body["kind"] != "Ingestor":
            return stored(body)
        parts = {name: body[name] for name in ("spec", "status") if name in body}
        return {**body, **with_schema_defaults(parts, self.schema)}

    def _remove(self, entry: Stored) -> Manifest:
        metadata = entry.body["metadata"]
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        del self.objects[entry.body["kind"], metadata["namespace"], metadata["name"]]
        self.changes.append(("DELETED", deepcopy(entry.body)))
        return deepcopy(entry.body)

    def _find(self, kind: str, namespace: str, name: str) -> Stored:
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise ApiFaultError(404, "NotFound", f"{kind} {name!r} not found")
        return found


def fake_cluster(server: FakeApiServer, on_write: OnWrite) -> Cluster:
    """Return the operator's client, connected to ``server``."""
    address = Address(server="http://in-memory.invalid", insecure=True)
    config = SingleConfig(
        context_name="fake", context=Context(cluster="fake", user="fake"), cluster=address, user=User(token="none")
    )
    return Cluster(AsyncClient(config=config, transport=server, field_manager=MANAGED_BY), on_write)


def _parse(path: str) -> tuple[Kind, str, str, str]:
    """Return kind, namespace, name and subresource of a request's path."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    return _KINDS[parts[0]], namespace, *([*parts[1:], "", ""][:2])  # type: ignore[return-value]


def _is_new_generation(before: Manifest, after: Manifest) -> bool:
    """Tell whether the generation counts: for Deployments annotations do so too."""
    content = [
        {name: part for name, part in body.items() if name not in ("metadata", "status")} for body in (before, after)
    ]
    annotations = [body["metadata"].get("annotations") for body in (before, after)]
    return content[0] != content[1] or (after["kind"] == "Deployment" and annotations[0] != annotations[1])
