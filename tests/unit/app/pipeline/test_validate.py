"""What a valid identity is, at and around each limit."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.pipeline.validate import Fault, Limits
from ingestor.points import Series
from support.decoding import LIMITS
from support.wire import identity_fault

Pairs = list[tuple[str, str]]


def _reason(service: str = "s", metric: str = "m", labels: Pairs | None = None, limits: Limits = LIMITS) -> str | None:
    found = limits.check_identity(service, metric, labels or [])
    return found.reason if isinstance(found, Fault) else None


@pytest.mark.parametrize("letter", ["x", "é", "漢"])
def test_names_are_measured_in_bytes(letter: str) -> None:
    size = len(letter.encode())
    limits = replace(LIMITS, name_bytes=12)
    assert _reason(metric=letter * (12 // size), limits=limits) is None
    assert _reason(metric=letter * (12 // size) + "y", limits=limits) == "name_too_long"


@pytest.mark.parametrize(("count", "reason"), [(64, None), (65, "labels_too_many")])
def test_labels_are_counted(count: int, reason: str | None) -> None:
    assert _reason(labels=[(f"n{n}", "") for n in range(count)]) == reason


@pytest.mark.parametrize(("limit", "reason"), [(8, None), (7, "labels_too_large")])
def test_names_and_values_of_labels_are_measured_together(limit: int, reason: str | None) -> None:
    assert _reason(labels=[("ab", "é"), ("cd", "xy")], limits=replace(LIMITS, labels_bytes=limit)) == reason


@pytest.mark.parametrize(("size", "reason"), [(2_048, None), (2_049, "label_value_too_long")])
def test_a_label_value_may_be_longer_than_a_name(size: int, reason: str | None) -> None:
    assert _reason(labels=[("n", "v" * size)]) == reason


def test_a_repeated_label_is_found_wherever_it_stands() -> None:
    assert _reason(labels=[("a", "1"), ("b", "2"), ("a", "3")]) == "label_repeated"


def test_labels_are_sorted_by_name() -> None:
    expected = Series("s", "m", (("a", "2"), ("b", "1")))
    assert LIMITS.check_identity("s", "m", [("b", "1"), ("a", "2")]) == expected


texts = st.text(st.sampled_from("aé\0"), max_size=3)


@settings(max_examples=100, deadline=None)
@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=4))
def test_the_first_fault_is_told_in_the_order_of_the_fields(service: str, metric: str, labels: Pairs) -> None:
    message = pb.Series(service_name=service, metric_name=metric, labels=[pb.Label(name=n, value=v) for n, v in labels])
    found = LIMITS.check_identity(service, metric, labels)
    assert (
        (found.field, found.reason) == identity_fault(message)
        if isinstance(found, Fault)
        else not identity_fault(message)
    )
