"""What a pod's session says, judged."""

from typing import Any

import pytest

from ingestor.schema.preflight_session import judge_session

GOOD: dict[str, Any] = {
    "database": "metrics",
    "role": "analytics_writer",
    "encoding": "UTF8",
    "database_limit": -1,
    "role_limit": -1,
    "read_only": False,
    "commits_wait": False,
}


@pytest.mark.parametrize("change", [{}, {"role_limit": 4}, {"database_limit": 100}])
def test_a_good_session_has_nothing_but_good_findings(change: dict[str, Any]) -> None:
    assert {finding.level for finding in judge_session(GOOD | change, 2)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "level", "topic", "text"),
    [
        ({"encoding": "LATIN1"}, "problem", "encoding", "ENCODING 'UTF8'"),
        ({"read_only": True}, "problem", "server", "default_transaction_read_only"),
        ({"commits_wait": True}, "problem", "durability", "synchronous_standby_names"),
        ({"role_limit": 0}, "problem", "connections", "role analytics_writer may have 0"),
        ({"role_limit": 1}, "problem", "connections", "role analytics_writer may have 1"),
        ({"role_limit": 3}, "warning", "connections", "raise its CONNECTION LIMIT"),
        ({"database_limit": 1}, "problem", "connections", "database metrics may have 1"),
    ],
)
def test_each_fault_is_found_and_nothing_else(change: dict[str, Any], level: str, topic: str, text: str) -> None:
    (finding,) = [finding for finding in judge_session(GOOD | change, 2) if finding.level != "ok"]
    assert (finding.level, finding.topic) == (level, topic)
    assert text in finding.sentence
