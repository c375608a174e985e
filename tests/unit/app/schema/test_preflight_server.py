"""What a server says about itself, judged."""

from dataclasses import replace
from typing import Any

import pytest

from ingestor.schema.catalog import Job
from ingestor.schema.preflight_server import judge_policies, judge_server

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
RETENTION = Job(5, "retention", "samples", 86_400, after_s=86_400)


def test_a_good_server_has_nothing_but_good_findings() -> None:
    assert {finding.level for finding in judge_server(GOOD, 0.0)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "level", "topic", "text"),
    [
        ({"version": "13.9", "version_number": 130_009}, "problem", "server", "14 or newer"),
        ({"version": "16.4", "version_number": 160_004}, "warning", "server", "not tested; 17 to 18 are"),
        ({"version": "19.0", "version_number": 190_000}, "warning", "server", "not tested; 17 to 18 are"),
        ({"timescaledb": "2.18.9"}, "warning", "timescaledb", "not tested; 2.19 to 2.31 are"),
        ({"timescaledb": "2.32.0-dev"}, "warning", "timescaledb", "not tested; 2.19 to 2.31 are"),
        ({"timescaledb": "3"}, "warning", "timescaledb", "not tested; 2.19 to 2.31 are"),
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


@pytest.mark.parametrize("version", ["2.19.0", "2.29.2", "2.31.7"])
def test_a_version_within_the_tested_range_is_good_and_the_range_is_named(version: str) -> None:
    findings = [one for one in judge_server(GOOD | {"timescaledb": version}, 0.0) if one.topic == "timescaledb"]
    assert [(one.level, one.sentence.partition(",")[0]) for one in findings] == [
        ("ok", f"TimescaleDB {version} (tested: 2.19 to 2.31)")
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"failure": "deadlock detected"}, "the retention policy of samples (job 5) failed: deadlock detected"),
        ({"overdue": True}, "the retention policy of samples (job 5) is an hour late or more: look at"),
        ({"has_run": False}, "no policy has run yet (1 are there); if that stays so, look at"),
    ],
)
def test_policies_that_do_not_work_are_named(change: dict[str, Any], text: str) -> None:
    (finding,) = judge_policies([replace(RETENTION, **change)])
    assert (finding.level, finding.topic) == ("warning", "policies")
    assert finding.sentence.startswith(text)


def test_policies_that_run_are_counted_and_paused_ones_are_not() -> None:
    new = replace(RETENTION, id=6, kind="columnstore", has_run=False)
    (finding,) = judge_policies([RETENTION, new, replace(new, id=7, scheduled=False)])
    assert (finding.level, finding.sentence) == ("ok", "2 policies; none failed when it ran last")
    assert not [*judge_policies([replace(RETENTION, scheduled=False)])]
    assert not [*judge_policies([])]


@pytest.mark.parametrize(
    ("licence", "text"), [("apache", "no columnstore"), ("timescale", "has columnstore, policies")]
)
def test_a_licence_is_said_with_what_it_means(licence: str, text: str) -> None:
    assert any(text in finding.sentence for finding in judge_server(GOOD | {"licence": licence}, 0.0))


def test_synchronous_replication_is_no_doubt() -> None:
    findings = judge_server(GOOD | {"standbys": 1, "synchronous_standbys": True}, 0.0)
    assert all(finding.level == "ok" for finding in findings)
