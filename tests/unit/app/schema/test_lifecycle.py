"""What a user may ask for ageing points, and why the rest is refused: each refusal says what would be lost."""

from typing import Any

import pytest
from pydantic import ValidationError

from ingestor.schema.lifecycle import RESERVED_NAMES
from ingestor.schema.objects import BOOKKEEPING, MADE_BY
from ingestor.schema.spec import SchemaSpec

HOURLY: dict[str, Any] = {
    "name": "by_hour",
    "bucket": "1h",
    "refresh": {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"},
}


def _rollup(**changes: object) -> dict[str, Any]:
    return HOURLY | changes


def _refresh(start: str, end: str) -> dict[str, Any]:
    return _rollup(refresh={"startOffset": start, "endOffset": end, "scheduleInterval": "1h"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columnstore": {"after": "90d"}, "retention": {"dropAfter": "90d"}}, "chunks would be gone before"),
        ({"rollups": [HOURLY], "retention": {"dropAfter": "2d"}}, "replace the history of dropped points with nothing"),
        ({"rollups": [_refresh("119m", "1h")]}, "must be 2 buckets or more"),
        ({"rollups": [_rollup(retention={"dropAfter": "2d"})]}, "would make again what was dropped"),
        ({"rollups": [HOURLY, HOURLY]}, "by_hour is given twice"),
        ({"rollups": [_rollup(name="samples")]}, "has the name of another object of ours"),
        ({"columnstore": {"segmentBy": ["series_id"], "orderBy": ["series_id DESC"]}}, "may stand once"),
        ({"columnstore": {"orderBy": ["labels"]}}, "should match pattern"),
        ({"columnstore": {"orderBy": []}}, "at least 1 item"),
        ({"retention": {}}, "dropAfter"),
        ({"rollups": [_rollup(name=f"r{n}") for n in range(17)]}, "at most 16 items"),
    ],
)
def test_what_would_lose_data_or_can_not_be_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SchemaSpec.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"columnstore": {"after": "89d"}, "retention": {"dropAfter": "90d"}},
        {"rollups": [HOURLY], "retention": {"dropAfter": "3d"}},
        {"rollups": [_refresh("3h", "1h")]},
        {"rollups": [_rollup(retention={"dropAfter": "3d"})]},
        {"columnstore": {"segmentBy": [], "orderBy": ["series_id", "time DESC"]}},
    ],
)
def test_the_borders_themselves_are_taken(fields: dict[str, Any]) -> None:
    SchemaSpec.model_validate(fields)


def test_ascending_is_what_is_meant_without_a_word() -> None:
    written = SchemaSpec.model_validate({"columnstore": {"orderBy": ["time ASC", "value"]}})
    assert written.columnstore
    assert written.columnstore.order_by == ("time", "value")


def test_no_name_of_ours_can_be_a_rollups() -> None:
    made = [key for keys in (BOOKKEEPING, *MADE_BY.values()) for key in keys]
    assert {name for kind, name in made if kind not in ("function", "index")} == RESERVED_NAMES
