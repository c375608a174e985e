"""The Kubernetes API as the operator uses it, and the only module that knows it. Objects are plain dictionaries."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.types import PatchType

from ingestor.errors import words_of
from ingestor_operator.errors import ClusterError, NotFoundError, RefusedError
from ingestor_operator.manifests.children import KINDS, POD_MONITORS, Kind
from ingestor_operator.manifests.facts import MANAGED_BY, Manifest
from ingestor_operator.resource.ingestor import GROUP, KIND, PLURAL, VERSION

INGESTORS = Kind(GROUP, VERSION, KIND, PLURAL)
_PODS = Kind("", "v1", "Pod", "pods")
_SECRETS = Kind("", "v1", "Secret", "secrets")
_EVENTS = Kind("", "v1", "Event", "events")

OnWrite = Callable[[str, str], None]
"""Is told kind and verb of every write."""

PAGE = 200
TIMEOUT_S = 10.0

_CLASSES: dict[Kind, type[GenericNamespacedResource]] = {
    kind: create_namespaced_resource(kind.group, kind.version, kind.kind, kind.plural)
    for kind in (INGESTORS, *KINDS, POD_MONITORS, _PODS, _SECRETS, _EVENTS)
}
_BY_NAME = {(kind.api_version, kind.kind): kind for kind in _CLASSES}

REFUSALS = {403, 409, 422, 400}
"""Answers that the same request gets again until somebody changes something."""
_UNTYPED = "failed to create typed patch object"
"""So the API server refuses a field that a kind does not have, with code 500, as if the fault were its own."""


class Cluster:
    """Reads and writes; every call has a deadline.

    Every method raises ClusterError where the API server cannot be asked, and those that write RefusedError where it
    refuses what is asked.
    """

    def __init__(self, client: AsyncClient, on_write: OnWrite) -> None:
        self._client = client
        self._on_write = on_write

    async def list_objects(self, kind: Kind, namespace: str, labels: dict[str, str] | None = None) -> list[Manifest]:
        """Return all objects of a kind; namespace ``*`` means all."""
        async with _errors(f"list {kind.plural}"):
            found = self._client.list(
                _CLASSES[kind],
                namespace=namespace,
                chunk_size=PAGE,
                labels=dict(labels) if labels else None,
            )
            return [_plain(item, kind) async for item in found]

    async def find_object(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return one object by name, None where there is none; a listing, because reading it takes another right."""
        async with _errors(f"look for {kind.kind} {name}"):
            found = self._client.list(_CLASSES[kind], namespace=namespace, fields={"metadata.name": name})
            return next(iter([_plain(item, kind) async for item in found]), None)

    async def list_pods(self, namespace: str, labels: dict[str, str]) -> list[Manifest]:
        """Return the pods with the given labels."""
        return await self.list_objects(_PODS, namespace, labels)

    async def read_secret(self, namespace: str, name: str) -> Manifest | None:
        """Return a Secret, None where there is none."""
        try:
            async with _errors(f"read Secret {name}"):
                return dict(await self._client.get(_CLASSES[_SECRETS], name, namespace=namespace))
        except NotFoundError:
            return None

    async def apply(self, manifest: Manifest, *, force: bool) -> Manifest:
        """Make an object what ``manifest`` says; what it does not name stays.

        With ``force`` fields are taken from whoever set them; without, an object of somebody else is refused.
        """
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        self._on_write(kind.kind, "apply")
        async with _errors(f"apply {kind.kind} {metadata['name']}"):
            applied = await self._client.patch(
                _CLASSES[kind],
                metadata["name"],
                manifest,
                namespace=metadata["namespace"],
                patch_type=PatchType.APPLY,
                force=force,
            )
            return _plain(applied, kind)

    async def merge(self, kind: Kind, namespace: str, name: str, change: Manifest) -> Manifest:
        """Change the fields in ``change`` alone."""
        self._on_write(kind.kind, "merge")
        async with _errors(f"change {kind.kind} {name}"):
            changed = await self._client.patch(
                _CLASSES[kind], name, change, namespace=namespace, patch_type=PatchType.MERGE
            )
            return _plain(changed, kind)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object; one that is gone already is fine."""
        self._on_write(kind.kind, "delete")
        with suppress(NotFoundError):
            async with _errors(f"delete {kind.kind} {name}"):
                await self._client.delete(_CLASSES[kind], name, namespace=namespace)

    async def write_status(self, namespace: str, name: str, status: Manifest) -> Manifest:
        """Replace an Ingestor's status; fields of None are removed. Returns the object as it is then."""
        self._on_write(KIND, "status")
        async with _errors(f"write the status of {name}"):
            written = await self._client.patch(
                _CLASSES[INGESTORS].Status,
                name,
                {"status": status},
                namespace=namespace,
                patch_type=PatchType.MERGE,
            )
            return _plain(written, INGESTORS)

    async def set_finalizers(self, namespace: str, name: str, resource_version: str, finalizers: list[str]) -> Manifest:
        """Replace an Ingestor's finalizers, if it is still at ``resource_version``."""
        self._on_write(KIND, "finalizers")
        change = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]
        async with _errors(f"set the finalizers of {name}"):
            changed = await self._client.patch(
                _CLASSES[INGESTORS],
                name,
                change,
                namespace=namespace,
                patch_type=PatchType.JSON,
            )
            return _plain(changed, INGESTORS)

    async def post_event(self, event: Manifest) -> None:
        """Create an Event."""
        self._on_write("Event", "create")
        async with _errors("post an Event"):
            await self._client.create(_CLASSES[_EVENTS].from_dict(event))


def kind_of(manifest: Manifest) -> Kind:
    """Return the kind of an object."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]


@asynccontextmanager
async def connected(on_write: OnWrite) -> AsyncIterator[Cluster]:
    """Connect with the pod's service account, or with the kubeconfig outside of a pod."""
    client = AsyncClient(field_manager=MANAGED_BY, timeout=httpx2.Timeout(TIMEOUT_S))
    try:
        yield Cluster(client, on_write)
    finally:
        await client.aclose()


def _plain(item: Any, kind: Kind) -> Manifest:
    """Return an object without the bulk that nobody here reads; items of lists come without their kind."""
    manifest = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
    return strip(manifest)


def strip(manifest: Manifest) -> Manifest:
    """Return an object without managedFields, which are half of it."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    return {**manifest, "metadata": metadata}


@asynccontextmanager
async def _errors(what: str) -> AsyncIterator[None]:
    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        text = f"can't {what}: {error.status.message or error.status.reason or f'status {code}'}"
        if code == 404:
            raise NotFoundError(text) from error
        if code in REFUSALS or _UNTYPED in text:
            raise RefusedError(error.status.reason or "Invalid", text) from error
        raise ClusterError(text) from error
    except (httpx2.HTTPError, json.JSONDecodeError, OSError) as error:
        raise ClusterError(f"can't {what}: {words_of(error)}") from error
