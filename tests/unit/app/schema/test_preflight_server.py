"""What a server says about itself, judged."""

from typing import Any

import pytest

from ingestor.schema.preflight_server import judge_server

GOOD: dict[str, Any] = {
    "version": "17.5",
    "version_number": 170_005,
    "timescaledb": "2.19.3",
    "licence": "apache",
    "standby": False,
    "role": "analytics_writer",
    "superuser": False,
    "fsync": True,
    "full_page_writes": True,
    "synchronous_commit": "on",
    "synchronous_standbys": False,
    "standbys": 0,
    "clock_s": 0.0,
    "connections_used": 5,
    "connections_usable": 97,
}


def test_a_good_server_has_nothing_but_good_findings() -> None:
    assert {finding.level for finding in judge_server(GOOD, 0.0)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "level", "topic", "text"),
    [
        ({"version": "13.9", "version_number": 130_009}, "problem", "server", "14 or newer"),
        ({"timescaledb": None}, "problem", "timescaledb", "bootstrap"),
        ({"licence": "other"}, "warning", "timescaledb", "unknown"),
        ({"standby": True}, "problem", "server", "primary"),
        ({"superuser": True}, "warning", "rights", "writer role"),
        ({"fsync": False}, "warning", "durability", "fsync"),
        ({"full_page_writes": False}, "warning", "durability", "full_page_writes"),
        ({"synchronous_commit": "off"}, "warning", "durability", "synchronous_commit"),
        ({"standbys": 1}, "warning", "durability", "asynchronous"),
        ({"connections_used": 98}, "problem", "connections", "max_connections"),
        ({"connections_used": 90}, "warning", "connections", "8 of 97"),
    ],
)
def test_each_fault_is_found_and_nothing_else(change: dict[str, Any], level: str, topic: str, text: str) -> None:
    (finding,) = [finding for finding in judge_server(GOOD | change, 0.0) if finding.level != "ok"]
    assert (finding.level, finding.topic) == (level, topic)
    assert text in finding.sentence


@pytest.mark.parametrize(
    ("skew_s", "level", "text"),
    [
        (0.9, "ok", "agree"),
        (-0.9, "ok", "agree"),
        (1.5, "warning", "1.5 s ahead of"),
        (-1.5, "warning", "1.5 s behind"),
        (301, "problem", "refused"),
        (-301, "problem", "refused"),
    ],
)
def test_clocks_that_differ_are_named_with_their_direction(skew_s: float, level: str, text: str) -> None:
    (finding,) = [finding for finding in judge_server(GOOD, skew_s) if finding.topic == "clock"]
    assert finding.level == level
    assert text in finding.sentence


@pytest.mark.parametrize(("licence", "text"), [("apache", "no columnstore"), ("timescale", "columnstore, policies")])
def test_a_licence_is_said_with_what_it_means(licence: str, text: str) -> None:
    assert any(text in finding.sentence for finding in judge_server(GOOD | {"licence": licence}, 0.0))


def test_synchronous_replication_is_no_doubt() -> None:
    findings = judge_server(GOOD | {"standbys": 1, "synchronous_standbys": True}, 0.0)
    assert all(finding.level == "ok" for finding in findings)
