"""Bring an Ingestor's objects to what is asked for: apply what differs, remove what is no longer wanted."""

from dataclasses import dataclass

from ingestor_operator.cache import Cache
from ingestor_operator.cluster import Cluster, kind_of
from ingestor_operator.errors import RefusedError
from ingestor_operator.manifests.children import DEPLOYMENTS, KINDS, POD_MONITORS, Kind
from ingestor_operator.manifests.drift import satisfies
from ingestor_operator.manifests.facts import MANAGED_BY, MANAGED_BY_LABEL, Manifest
from ingestor_operator.resource.ingestor import Ingestor

_OPTIONAL = {kind.kind: kind for kind in (*KINDS, POD_MONITORS) if kind.optional}


@dataclass(frozen=True, slots=True)
class ChildWriter:
    """Writes only what differs from what was last seen, so that a converged Ingestor costs no write."""

    cluster: Cluster
    cache: Cache

    async def write(self, ingestor: Ingestor, manifests: list[Manifest], *, hold_pods: bool) -> None:
        """Apply what differs and remove what is superfluous.

        With ``hold_pods`` running pods stay as they are, but for their number, and none are started.

        An object that is refused keeps no other from being written.

        Raises:
            RefusedError: the API server refuses an object, or one of its name is somebody else's.
            ClusterError: the API server could not be asked.
        """
        refusals = []
        for manifest in manifests:
            try:
                if manifest["kind"] == DEPLOYMENTS.kind and hold_pods:
                    await self.scale(ingestor, manifest["spec"]["replicas"])
                else:
                    await self._write_one(ingestor, manifest)
            except RefusedError as error:
                refusals.append(error)
        await self._prune(ingestor, {(item["kind"], item["metadata"]["name"]) for item in manifests})
        if refusals:
            raise refusals[0]

    async def _write_one(self, ingestor: Ingestor, manifest: Manifest) -> None:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        observed = self.cache.child(ingestor.key, kind.kind, name)
        if observed is not None and satisfies(observed, manifest):
            return
        # One that no watch shows may be somebody else's, or ours without its labels. Applying without force would not
        # tell: most accounts, for one, set none of our fields, and all pods of "default" would lose their tokens.
        if observed is None:
            observed = await self.cluster.find_object(kind, ingestor.namespace, name)
        if observed is not None and not _is_ours(observed, ingestor):
            text = f"there is a {kind.kind} {name} that is not of this Ingestor"
            raise RefusedError("Conflict", f"{text}; delete or rename it, or give the Ingestor another name")
        self.cache.put_child(kind, await self.cluster.apply(manifest, force=observed is not None))

    async def scale(self, ingestor: Ingestor, replicas: int) -> None:
        """Set the number of pods, where there are any, and nothing else."""
        observed = self.cache.child(ingestor.key, DEPLOYMENTS.kind, ingestor.name)
        if observed is not None and observed["spec"].get("replicas") != replicas:
            change = {"spec": {"replicas": replicas}}
            changed = await self.cluster.merge(DEPLOYMENTS, ingestor.namespace, ingestor.name, change)
            self.cache.put_child(DEPLOYMENTS, changed)

    async def _prune(self, ingestor: Ingestor, wanted: set[tuple[str, str]]) -> None:
        for (kind_name, name), observed in list(self.cache.children(ingestor.key).items()):
            kind = _OPTIONAL.get(kind_name)
            if kind is not None and (kind_name, name) not in wanted and _is_ours(observed, ingestor):
                await self._remove(kind, ingestor, name, observed)

    async def _remove(self, kind: Kind, ingestor: Ingestor, name: str, observed: Manifest) -> None:
        if "deletionTimestamp" not in observed["metadata"]:
            await self.cluster.delete(kind, ingestor.namespace, name)
            self.cache.put_child(kind, observed, deleted=True)


def _is_ours(observed: Manifest, ingestor: Ingestor) -> bool:
    """Tell whether an object with our labels belongs to this Ingestor, or to nobody since its owner left it behind."""
    owners = observed["metadata"].get("ownerReferences") or []
    labelled = (observed["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY
    orphaned = labelled and not any(owner.get("controller") for owner in owners)
    return orphaned or _is_owned(observed, ingestor)


def _is_owned(observed: Manifest, ingestor: Ingestor) -> bool:
    owners = observed["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == ingestor.uid for owner in owners)
