"""What is no text, number or time is refused when it is recorded, in words, and nothing is stored in its place."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from ingestor.client import Client
from support.fake_sender import FakeSender

NO_TEXTS: list[object] = [None, b"bytes", 1, 1.5, True, ["a"], float("nan")]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("bad", NO_TEXTS, ids=repr)
@pytest.mark.parametrize("where", ["service_name", "metric_name", "label 'name'", "a label's name"])
def test_only_texts_are_names_and_labels(where: str, bad: object) -> None:
    if where == "a label's name" and isinstance(bad, list):
        bad = ("a",)  # what a mapping can have for a name
    service, metric, labels = "service", "metric", {"name": "value"}
    if where == "service_name":
        service = bad  # type: ignore[assignment]
    elif where == "metric_name":
        metric = bad  # type: ignore[assignment]
    elif where == "label 'name'":
        labels["name"] = bad  # type: ignore[assignment]
    else:
        labels[bad] = "value"  # type: ignore[index]
    client = Client("", sender=FakeSender())
    with pytest.raises(TypeError, match=f"{where} must be a str, got .* of type {type(bad).__name__}"):
        client.series(service, metric, labels)


@pytest.mark.parametrize("labels", [[("name", "value")], "labels", 1])
def test_labels_are_a_mapping(labels: object) -> None:
    with pytest.raises(TypeError, match="labels must be a mapping"):
        Client("", sender=FakeSender()).series("service", "metric", labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "stored"),
    [(True, 1.0), (np.float32(1.5), 1.5), (np.int64(3), 3.0), (Decimal("0.5"), 0.5), (Fraction(1, 4), 0.25)],
)
async def test_whatever_is_a_real_number_is_a_value(value: float, stored: float) -> None:
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        await client.record("service", "metric", value, time_ns=np.int64(7))  # type: ignore[arg-type]
    assert [point[1:] for point in sender.points] == [(7, stored)]


@pytest.mark.parametrize("time_ns", [1.0, "1", NOW, np.datetime64("2026-01-01", "ns"), 2**63])
async def test_a_time_is_nanoseconds(time_ns: object) -> None:
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        with pytest.raises((TypeError, OverflowError), match="time_ns must be an int of 64 bits"):
            await client.record("service", "metric", 1, time_ns=time_ns)  # type: ignore[arg-type]
        assert client.stats().pending_bytes == 0
    assert sender.points == []


@pytest.mark.parametrize(
    ("times_ns", "values", "words"),
    [
        ([1], ["1.5"], "real numbers"),
        ([1], [None], "real numbers"),
        ([1], [1j], "real numbers"),
        ([1], np.array(["2026-01-01"], "M8[ns]"), "real numbers"),
        (np.array(["2026-01-01"], "M8[ns]"), [1.0], "integers"),
        ([1.5], [1.0], "integers"),
        (np.array([2**63], np.uint64), [1.0], "63 bits"),
    ],
)
async def test_columns_are_numbers_as_they_come(times_ns: object, values: object, words: str) -> None:
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        series = [client.series("service", "metric")]
        with pytest.raises((TypeError, ValueError), match=words):
            await client.record_columns(series, [0], times_ns, values)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="handles"):
            await client.record_columns(["metric"], [0], [1], [1.0])  # type: ignore[list-item]
        assert client.stats().pending_bytes == 0
    assert sender.points == []
