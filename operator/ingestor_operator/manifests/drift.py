"""Tell whether what is there already has every field that we ask for. What others added does not count."""

from typing import Any

from lightkube.utils.quantity import parse_quantity


def satisfies(observed: Any, desired: Any) -> bool:
    """Return whether ``observed`` holds all of ``desired``.

    Objects may have more fields. Lists whose items have names (containers, variables, ports) may have more items;
    all others must be of the same length and order.
    """
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            satisfies(observed.get(name), value) or (name not in observed and _absent(value))
            for name, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(observed, list) and _list_satisfies(observed, desired)
    return bool(observed == desired) or _same_quantity(observed, desired)


def _list_satisfies(observed: list[Any], desired: list[Any]) -> bool:
    if desired and all(isinstance(item, dict) and "name" in item for item in desired):
        named = {item.get("name"): item for item in observed if isinstance(item, dict)}
        return all(satisfies(named.get(item["name"]), item) for item in desired)
    return len(observed) == len(desired) and all(map(satisfies, observed, desired))


def _absent(value: Any) -> bool:
    """Tell whether the API server leaves this value out when it stores it."""
    return value is None or value in ({}, [], "")


def _same_quantity(observed: Any, desired: Any) -> bool:
    """Tell whether two texts are one quantity, which the API server writes its own way: 1000m becomes 1."""
    if not isinstance(observed, str) or not isinstance(desired, str | int) or isinstance(desired, bool):
        return False
    try:
        return bool(parse_quantity(observed) == parse_quantity(str(desired)))
    except ValueError:
        return False
