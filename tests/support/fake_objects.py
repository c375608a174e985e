"""How an API server changes a stored object: server-side apply with field owners, merge patches, and defaults.

Only as much of it as the operator's objects need; ``cluster_contract`` says what holds on a real server too.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Manifest = dict[str, Any]
FieldPath = tuple[Any, ...]

_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_ITEM_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that are merged item by item; all others are one value."""
_ATOMIC = ("selector", "nodeSelector", "podSelector", "labelSelector")
"""Objects that are one value."""


class Item(NamedTuple):
    """An item of a merged list, by its key."""

    key: tuple[Any, ...]


class ConflictError(Exception):
    """Somebody else owns a field that is applied with another value."""


@dataclass
class Stored:
    """An object and who owns which of its fields."""

    body: Manifest
    owners: dict[FieldPath, set[str]] = field(default_factory=dict)

    def apply(self, desired: Manifest, manager: str, *, force: bool) -> None:
        """Take the fields of ``desired``, and drop those that ``manager`` applied before and no longer names."""
        have, wanted = leaves(_content(self.body)), leaves(_content(desired))
        rivals = [
            path
            for path, value in wanted.items()
            if path in have and have[path] != value and self._others(path, manager)
        ]
        if rivals and not force:
            raise ConflictError(", ".join(map(_text, rivals)))
        dropped = [path for path, owners in self.owners.items() if manager in owners and path not in wanted]
        for path in dropped:
            self.owners[path].discard(manager)
            if not self.owners[path]:
                have.pop(path, None)
        self._drop_bare_items(have, dropped)
        for path, value in wanted.items():
            same = have.get(path) == value
            self.owners[path] = {*(self.owners.get(path, set()) if same else ()), manager}
            have[path] = value
        self._replace_content(have)

    def update(self, changed: Manifest, manager: str) -> None:
        """Take ``changed`` as the whole content; ``manager`` owns what differs from before."""
        before, after = leaves(_content(self.body)), leaves(_content(changed))
        for path in before.keys() - after.keys():
            self.owners.pop(path, None)
        for path, value in after.items():
            if before.get(path) != value:
                self.owners[path] = {manager}
        self._replace_content(after)

    def _others(self, path: FieldPath, manager: str) -> set[str]:
        return self.owners.get(path, set()) - {manager}

    def _drop_bare_items(self, have: dict[FieldPath, Any], dropped: list[FieldPath]) -> None:
        """Remove what defaults had added to items of lists that nobody wants any more."""
        for path in dropped:
            for depth, part in enumerate(path):
                under = [other for other in have if other[: depth + 1] == path[: depth + 1]]
                if isinstance(part, Item) and not any(self.owners.get(other) for other in under):
                    for other in under:
                        del have[other]

    def _replace_content(self, values: dict[FieldPath, Any]) -> None:
        content = assemble(values)
        identity = {name: self.body["metadata"][name] for name in _IDENTITY if name in self.body["metadata"]}
        status = {"status": self.body["status"]} if "status" in self.body else {}
        kind = {name: self.body[name] for name in ("apiVersion", "kind")}
        metadata = identity | content.pop("metadata", {})
        self.body = kind | {"metadata": metadata} | content | status


def leaves(value: Any, path: FieldPath = ()) -> dict[FieldPath, Any]:
    """Return the fields of an object by path, items of merged lists by their keys."""
    found: dict[FieldPath, Any] = {}
    if isinstance(value, dict) and value and not (path and path[-1] in _ATOMIC):
        for name, part in value.items():
            found |= leaves(part, (*path, name))
        return found
    keys = _item_keys(value, path)
    if keys:
        for item in value:
            found |= leaves(item, (*path, Item(tuple(item.get(key) for key in keys))))
        return found
    return {path: deepcopy(value)}


def assemble(values: dict[FieldPath, Any]) -> Manifest:
    """Return the object that has these fields."""
    root: dict[Any, Any] = {}
    for path, value in values.items():
        if not path:  # an object without fields
            continue
        node = root
        for part in path[:-1]:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):  # an empty list or object that has got fields since
                inner = node[part] = {}
            node = inner
        node.setdefault(path[-1], deepcopy(value))
    return dict(_lists(root))


def merge(value: Any, change: Any) -> Any:
    """Return ``value`` after a JSON merge patch: None removes a field, lists are replaced."""
    if not isinstance(change, dict):
        return deepcopy(change)
    merged = dict(value) if isinstance(value, dict) else {}
    for name, part in change.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), part)
    return merged


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(name, Item) for name in node):
        return [_lists(part) for part in node.values()]
    return {name: _lists(part) for name, part in node.items()}


def _item_keys(value: Any, path: FieldPath) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not path or not all(isinstance(item, dict) for item in value):
        return ()
    if path[-1] == "ports":
        return ("containerPort", "protocol") if "containerPort" in value[0] else ("port", "protocol")
    return _ITEM_KEYS.get(path[-1], ()) if isinstance(path[-1], str) else ()


def _content(body: Manifest) -> Manifest:
    """Return what can be owned: everything but identity and status."""
    metadata = {name: value for name, value in body["metadata"].items() if name not in _IDENTITY}
    rest = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata", "status")}
    return {"metadata": metadata, **rest} if metadata else rest


def _text(path: FieldPath) -> str:
    return "".join(f"[{part.key}]" if isinstance(part, Item) else f".{part}" for part in path)
