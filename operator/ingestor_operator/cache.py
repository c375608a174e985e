"""What is known of the cluster: fed by watches, and replaced whole by every resync for what the watches missed."""

from typing import Any

from ingestor_operator.manifests.children import Kind
from ingestor_operator.manifests.facts import INSTANCE_LABEL, Manifest
from ingestor_operator.queue import Key


class Cache:
    """Ingestors and their children, as they were last seen."""

    def __init__(self) -> None:
        self._ingestors: dict[Key, Manifest] = {}
        self._children: dict[Key, dict[tuple[str, str], Manifest]] = {}
        self._touched: set[tuple[str, str, str]] = set()

    def begin_listing(self) -> None:
        """Note that a listing begins: what watches and writes bring from now on is newer than what it will show."""
        self._touched.clear()

    def ingestor(self, key: Key) -> Manifest | None:
        """Return an Ingestor as it was last seen."""
        return self._ingestors.get(key)

    def ingestors(self) -> list[Manifest]:
        """Return all Ingestors."""
        return list(self._ingestors.values())

    def children(self, key: Key) -> dict[tuple[str, str], Manifest]:
        """Return the children of an Ingestor by kind and name."""
        return self._children.get(key, {})

    def child(self, key: Key, kind: str, name: str) -> Manifest | None:
        """Return one child."""
        return self.children(key).get((kind, name))

    def put_ingestor(self, body: Manifest, *, deleted: bool = False) -> Key | None:
        """Take an Ingestor as seen; returns its key where that is news."""
        key = _key(body)
        known = self._ingestors.get(key)
        if _is_older(body, known) or (deleted and not _is_same(body, known)):
            return None
        self._touched.add(_place(body))
        if deleted:
            del self._ingestors[key]
        else:
            self._ingestors[key] = body
        return key

    def update_ingestor(self, body: Manifest) -> None:
        """Take an Ingestor as a write of ours returned it, unless it was deleted meanwhile."""
        if _is_same(body, self._ingestors.get(_key(body))):
            self.put_ingestor(body)

    def put_child(self, kind: Kind, body: Manifest, *, deleted: bool = False) -> Key | None:
        """Take a child as seen; returns its owner's key where that is news."""
        owner, name = owner_key(body), (kind.kind, body["metadata"]["name"])
        if owner is None:
            return None
        family = self._children.setdefault(owner, {})
        known = family.get(name)
        is_news = _is_same(body, known) if deleted else not _is_older(body, known)
        if is_news:
            self._touched.add(_place(body))
            if deleted:
                del family[name]
            else:
                family[name] = body
        if not family:
            del self._children[owner]
        return owner if is_news else None

    def replace_ingestors(self, bodies: list[Manifest]) -> set[Key]:
        """Take a complete list, save where something newer came meanwhile; returns every key that is or was there."""
        before = set(self._ingestors)
        listed = {_key(body) for body in bodies}
        for key in before - listed:
            if _place(self._ingestors[key]) not in self._touched:
                del self._ingestors[key]
        for body in bodies:
            if _place(body) not in self._touched:
                self.put_ingestor(body)
        return before | set(self._ingestors)

    def replace_children(self, kind: Kind, bodies: list[Manifest]) -> None:
        """Take a complete list of one kind, save where something newer came meanwhile."""
        listed = {(owner_key(body), body["metadata"]["name"]) for body in bodies}
        for owner, family in list(self._children.items()):
            for (child_kind, name), body in list(family.items()):
                gone = child_kind == kind.kind and (owner, name) not in listed
                if gone and _place(body) not in self._touched:
                    del family[child_kind, name]
            if not family:
                del self._children[owner]
        for body in bodies:
            if _place(body) not in self._touched:
                self.put_child(kind, body)


def owner_key(body: Manifest) -> Key | None:
    """Return the key of the Ingestor that an object belongs to, by its label."""
    metadata = body["metadata"]
    name = (metadata.get("labels") or {}).get(INSTANCE_LABEL)
    return (metadata["namespace"], name) if name else None


def _key(body: Manifest) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _place(body: Manifest) -> tuple[str, str, str]:
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def _is_same(body: Manifest, known: Manifest | None) -> bool:
    """Tell whether both are one object: another of the same name may have followed it."""
    return known is not None and known["metadata"].get("uid") == body["metadata"].get("uid")


def _is_older(body: Manifest, known: Manifest | None) -> bool:
    """Tell whether ``body`` is no news: a watch may deliver what our own write has returned already.

    Versions are compared as numbers, as etcd has them; where one is none, the later arrival counts.
    Source: Kubernetes 1.35 documents resourceVersion as an orderable integer (KEP-5504).
    """
    if known is None or not _is_same(body, known):
        return False
    new, old = _version(body), _version(known)
    return new is not None and old is not None and new <= old


def _version(body: Manifest) -> int | None:
    text: Any = body["metadata"].get("resourceVersion", "")
    return int(text) if str(text).isdecimal() else None
