"""Whether what is there is what was asked for: others may add, nobody may take away."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor_operator.manifests.drift import satisfies

NAMED = {"containers": [{"name": "a", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}

_NAMES = st.sampled_from(["a", "b", "c", "spec"])
_LEAVES = st.integers(-3, 3) | st.booleans() | st.sampled_from(["text", "other", "x y"])


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw objects, lists, and lists whose items have names."""
    named = st.dictionaries(_NAMES, inner, min_size=1, max_size=3).map(
        lambda items: [{"name": name, "value": value} for name, value in items.items()]
    )
    return st.dictionaries(_NAMES, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3) | named


_OBJECTS: st.SearchStrategy[Any] = st.recursive(_LEAVES, _nested, max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(desired=_OBJECTS)
def test_an_object_satisfies_itself(desired: Any) -> None:
    assert satisfies(deepcopy(desired), desired)


@settings(max_examples=200, deadline=None)
@given(desired=st.dictionaries(_NAMES, _OBJECTS, min_size=1), data=st.data())
def test_more_fields_are_fine_and_missing_ones_are_not(desired: dict[str, Any], data: st.DataObject) -> None:
    observed = deepcopy(desired)
    observed["added"] = {"by": "somebody"}
    assert satisfies(observed, desired)
    del observed[data.draw(st.sampled_from(sorted(desired)))]
    assert not satisfies(observed, desired)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda containers: containers.append({"name": "sidecar"}), True),
        (lambda containers: containers[0]["env"].append({"name": "C", "value": "3"}), True),
        (lambda containers: containers[0]["env"].reverse(), True),
        (lambda containers: containers[0]["env"].pop(), False),
        (lambda containers: containers[0]["env"][0].update(value="9"), False),
        (lambda containers: containers[0].update(image="y"), False),
        (lambda containers: containers.clear(), False),
    ],
)
def test_items_with_names_are_found_by_them(change: Any, same: bool) -> None:
    observed = deepcopy(NAMED)
    change(observed["containers"])
    assert satisfies(observed, NAMED) is same


@pytest.mark.parametrize(
    ("observed", "same"),
    [(["a", "b"], True), (["b", "a"], False), (["a"], False), (["a", "b", "c"], False), (None, False), ("a", False)],
)
def test_other_lists_are_equal_or_not(observed: Any, same: bool) -> None:
    assert satisfies({"list": observed}, {"list": ["a", "b"]}) is same


@pytest.mark.parametrize("value", [None, {}, [], ""])
def test_an_empty_value_may_be_left_out_by_the_server(value: Any) -> None:
    assert satisfies({}, {"field": value})
    assert satisfies({"field": value}, {"field": value})


@pytest.mark.parametrize("value", [False, 0])
def test_zero_and_false_are_values(value: Any) -> None:
    assert not satisfies({}, {"field": value})
    assert not satisfies({"field": True if value is False else 1}, {"field": value})


@pytest.mark.parametrize(
    ("observed", "desired", "same"),
    [
        ("1", "1000m", True),
        ("500m", "0.5", True),
        ("1", 1, True),
        ("1Gi", "1024Mi", True),
        ("1Gi", 1_073_741_824, True),
        ("1Gi", "1G", False),
        ("250m", "300m", False),
        ("1", True, False),
        ("text", "1", False),
        (1, "1", False),
        ("123e45678901234", "123e45678901235", False),  # hashes can look like numbers, and huge ones
    ],
)
def test_quantities_are_compared_by_their_amount(observed: Any, desired: Any, same: bool) -> None:
    assert satisfies({"cpu": observed}, {"cpu": desired}) is same
