"""Whether points that arrive are committed, as pods say."""

from typing import Any

import pytest

from ingestor_operator.conditions.ingesting import STALLED_S, PodReport, judge_ingesting

FINE: dict[str, Any] = {"database_up": True, "held": 0, "refusing": False, "last_error": None}


def judge(*statuses: dict[str, Any] | None, desired: int = 2) -> tuple[str, str]:
    """Judge what pods said."""
    verdict = judge_ingesting([PodReport(f"p{number}", status) for number, status in enumerate(statuses)], desired)
    return verdict.status, verdict.reason


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (FINE, ("True", "CommitsFlow")),
        ({**FINE, "held": 5, "oldest_held_seconds": STALLED_S - 1}, ("True", "CommitsFlow")),
        ({**FINE, "held": 5, "oldest_held_seconds": STALLED_S + 1}, ("False", "CommitsStalled")),
        ({**FINE, "held": 0, "oldest_held_seconds": STALLED_S + 1}, ("True", "CommitsFlow")),
        ({**FINE, "database_up": False}, ("False", "DatabaseAway")),
        ({**FINE, "refusing": True, "last_error": "42501"}, ("False", "Refusing")),
        ({**FINE, "refused_by_database": "P0001: not with me"}, ("False", "PointsRefused")),
        ({}, ("False", "DatabaseAway")),
    ],
)
def test_one_pod(status: dict[str, Any], expected: tuple[str, str]) -> None:
    assert judge(status) == expected


def test_one_pod_in_trouble_is_enough_and_is_named() -> None:
    assert judge(FINE, {**FINE, "database_up": False}) == ("False", "DatabaseAway")
    verdict = judge_ingesting([PodReport("metrics-7", {**FINE, "refusing": True, "last_error": "no rights"})], 1)
    assert "metrics-7" in verdict.message
    assert "no rights" in verdict.message


def test_pods_that_do_not_answer_are_left_out_unless_none_does() -> None:
    assert judge(None, FINE) == ("True", "CommitsFlow")
    assert judge(None, None) == ("Unknown", "StatusUnreachable")


def test_without_pods_nothing_is_known() -> None:
    assert judge() == ("Unknown", "NoPods")
    assert "no pods are asked for" in judge_ingesting([], 0).message
