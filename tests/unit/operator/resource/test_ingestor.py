"""The object as it is read, and the small languages of its fields."""

import re

import pytest

from ingestor.schema.durations import DURATION_PATTERN
from ingestor_operator.errors import InvalidSpecError
from ingestor_operator.resource.ingestor import Ingestor
from ingestor_operator.resource.kinds import OBJECT_NAME_PATTERN, QUANTITY_PATTERN, SIZE_PATTERN, size_bytes
from support.operator_specs import parsed, read_ingestor


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("1024", 1024), ("1Ki", 1024), ("64Mi", 64 * 2**20), ("16Gi", 16 * 2**30)]
)
def test_sizes(text: str, count: int) -> None:
    assert re.fullmatch(SIZE_PATTERN, text)
    assert size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5Mi", "1M", "1mi", "Mi", "12345678901", "1Mi "])
def test_what_is_no_size(text: str) -> None:
    assert not re.search(SIZE_PATTERN, text)


@pytest.mark.parametrize("text", ["1", "250m", "0.5", "1Gi", "1e3", "+1", ".5", "100k"])
def test_quantities(text: str) -> None:
    assert re.search(QUANTITY_PATTERN, text)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1gi", "1.2.3", "abc"])
def test_what_is_no_quantity(text: str) -> None:
    assert not re.search(QUANTITY_PATTERN, text)


@pytest.mark.parametrize("text", ["0s", "1", "1.5h", "1y", "1h30m", "1000000s", " 1h"])
def test_what_is_no_duration(text: str) -> None:
    assert not re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "fits"), [("a", True), ("a-b.c", True), ("-a", False), ("A", False), ("a" * 254, False)]
)
def test_names_of_secrets(text: str, fits: bool) -> None:
    assert bool(re.fullmatch(OBJECT_NAME_PATTERN, text)) is fits


def test_an_object_that_nobody_has_looked_at_is_read() -> None:
    ingestor = read_ingestor()
    assert ingestor.key == ("team", "metrics")
    assert not ingestor.deleting
    assert ingestor.finalizers == ()
    assert ingestor.status == {}
    body = {"metadata": {**_metadata(), "deletionTimestamp": "now", "finalizers": ["a"]}}
    found = Ingestor.read(body)
    assert found.deleting
    assert found.finalizers == ("a",)
    assert found.raw_spec == {}


def test_the_most_pods_are_the_autoscalers_or_those_that_there_are_already() -> None:
    assert parsed(replicas=3).most_replicas == 3
    assert parsed(replicas=3, autoscaling={"maxReplicas": 8}).most_replicas == 8
    assert parsed(replicas=9, autoscaling={"maxReplicas": 8}).most_replicas == 9


def test_a_fault_names_its_field_and_shows_no_more_than_five() -> None:
    wrong = {"port": "x", "reflection": "x"}
    delivery = {"ack": "x", "minimumAck": "x", "deduplicationWindow": "x"}
    with pytest.raises(InvalidSpecError, match=r"^spec\.replicas: .*; spec\.server\.port: ") as refusal:
        parsed(replicas=-1, server=wrong, delivery=delivery)
    assert str(refusal.value).count("spec.") == 5


def _metadata() -> dict[str, object]:
    return {
        "namespace": "team",
        "name": "metrics",
        "uid": "u",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
