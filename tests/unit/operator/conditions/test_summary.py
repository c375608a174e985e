"""The summary names the first cause, and conditions change their time only with their status."""

from typing import Any

import pytest

from ingestor_operator.conditions.summary import ORDER, changes, judge_ready, merge_conditions
from ingestor_operator.conditions.verdict import MAX_MESSAGE, Verdict, camel, failed, ok, shorten, unknown

GOOD = {name: ok(f"{name}Good", "fine") for name in ORDER}


def ready(rolled_out: bool = True, **verdicts: Any) -> tuple[str, str]:
    """Return the summary's status and reason."""
    verdict = judge_ready({**GOOD, **verdicts}, rolled_out=rolled_out)
    return verdict.status, verdict.reason


def test_all_well_is_ready() -> None:
    assert ready() == ("True", "Ready")


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_causes_come_before_effects(place: int) -> None:
    bad = {name: failed(f"{name}Bad", "why") for name in ORDER[place:]}
    assert ready(rolled_out=False, **bad) == ("False", f"{ORDER[place]}Bad")


def test_the_order_is_database_schema_pods_points() -> None:
    assert ORDER == ("DatabaseReachable", "DatabaseCapable", "SchemaApplied", "Progressing", "Available", "Ingesting")


def test_trouble_on_the_way_to_more_pods_leaves_it_ready() -> None:
    assert ready(Progressing=failed("QuotaExceeded", "why")) == ("True", "Ready")
    assert ready(rolled_out=False, Progressing=failed("QuotaExceeded", "why")) == ("False", "QuotaExceeded")


def test_a_rollout_under_way_is_not_ready() -> None:
    assert ready(rolled_out=False, Progressing=ok("RollingOut", "1 of 2")) == ("False", "RollingOut")


@pytest.mark.parametrize("name", ["DatabaseReachable", "SchemaApplied"])
def test_what_is_not_known_of_the_database_is_not_known_of_the_whole(name: str) -> None:
    verdicts: dict[str, Any] = {name: unknown("DatabaseSlow", "why")}
    assert ready(**verdicts) == ("Unknown", "DatabaseSlow")


def test_pods_that_can_not_be_asked_do_not_count_against_it() -> None:
    assert ready(Ingesting=unknown("StatusUnreachable", "why")) == ("True", "Ready")


def test_the_time_changes_with_the_status_alone() -> None:
    first = merge_conditions({"Ready": failed("A", "a")}, [], 1, "t1")
    second = merge_conditions({"Ready": failed("B", "b")}, first, 2, "t2")
    third = merge_conditions({"Ready": ok("C", "c")}, second, 2, "t3")
    assert [items[0]["lastTransitionTime"] for items in (first, second, third)] == ["t1", "t1", "t3"]
    assert [items[0]["observedGeneration"] for items in (first, second, third)] == [1, 2, 2]
    assert second[0]["reason"] == "B"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, ok("A", ""), True),
        (ok("A", ""), ok("B", "other words"), False),
        (ok("A", ""), failed("A", ""), True),
        (failed("A", ""), failed("A", "other numbers"), False),
        (failed("A", ""), failed("B", ""), True),
        (failed("A", ""), ok("A", ""), True),
        (ok("A", ""), unknown("B", ""), False),
        (unknown("B", ""), ok("A", ""), True),
        (None, unknown("B", ""), False),
    ],
)
def test_only_news_is_told(before: Verdict | None, after: Verdict, told: bool) -> None:
    old = merge_conditions({"Ready": before}, [], 1, "t") if before else []
    assert bool(changes(old, merge_conditions({"Ready": after}, old, 2, "t"))) is told


@pytest.mark.parametrize(
    ("reason", "camelled"),
    [("lock_busy", "LockBusy"), ("tls_failed", "TlsFailed"), ("unknown", "Unknown"), ("a-b c", "ABC"), ("", "")],
)
def test_reasons_are_in_camel_case(reason: str, camelled: str) -> None:
    assert camel(reason) == camelled


def test_the_end_of_a_long_text_is_kept() -> None:
    assert shorten("x" * 5000 + "end").endswith("end")
    assert len(shorten("x" * 5000)) == MAX_MESSAGE + 2
    assert shorten("short") == "short"
