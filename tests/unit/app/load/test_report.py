"""The report counts every point once and says by its exit code whether all went well."""

import io
import json

import pytest
from rich.console import Console

from ingestor.client.sender import Outcome, Verdict
from ingestor.load.report import LoadReport, PhaseReport
from ingestor.load.totals import Totals

ACKED = Outcome(Verdict.ACKED, accepted_points=8, rejected_points=2, first_rejection="time_too_far_ahead: [late]")
REPEATED = Outcome(Verdict.ACKED, accepted_points=10, duplicate=True)
REFUSED = Outcome(Verdict.REFUSED, status="INVALID_ARGUMENT", message="no [name]")
GIVEN_UP = Outcome(Verdict.GIVEN_UP, status="UNAVAILABLE", message="database away")


def phase(*outcomes: Outcome) -> PhaseReport:
    totals = Totals()
    for outcome in outcomes:
        totals.sent_points += 10
        totals.settle(10, outcome, 0.25)
    for moment_s in (5.0, 5.5, 6.75):
        totals.pauses.mark(moment_s)
    return PhaseReport("synthetic", "here", 2.0, totals)


def test_every_sent_point_is_counted_once() -> None:
    totals = phase(ACKED, REPEATED, REFUSED, REFUSED, GIVEN_UP).totals
    assert totals.settled_points == totals.sent_points == 50
    assert (totals.acked_points, totals.duplicate_points, totals.rejected_points) == (18, 10, 2)
    assert (totals.refused_points, totals.given_up_points) == (20, 10)
    assert len(totals.latencies) == 2


@pytest.mark.parametrize(
    ("outcomes", "interrupted", "exit_code"),
    [
        ([ACKED], False, 0),
        ([ACKED], True, 0),
        ([], True, 0),
        ([], False, 1),
        ([ACKED, GIVEN_UP], False, 1),
        ([ACKED, GIVEN_UP], True, 1),
        ([ACKED, REFUSED], False, 1),
    ],
)
def test_the_exit_code_says_whether_points_were_lost(
    outcomes: list[Outcome], interrupted: bool, exit_code: int
) -> None:
    assert LoadReport((phase(*outcomes),), interrupted).exit_code == exit_code


def test_the_table_shows_phases_side_by_side_and_the_servers_words() -> None:
    report = LoadReport((phase(ACKED, REFUSED), PhaseReport("machine", "host", 1.0, Totals())))
    console = Console(file=io.StringIO(), width=120)
    console.print(report.table())
    for line in report.remarks():
        console.print(line)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in ("synthetic", "machine", "INVALID_ARGUMENT", "no [name]", "[late]", "250.0", "1.25", " - "):
        assert expected in text


def test_json_carries_the_same_numbers() -> None:
    report = json.loads(json.dumps(LoadReport((phase(ACKED, GIVEN_UP),)).as_json()))
    (synthetic,) = report["phases"]
    assert synthetic["points_per_s"] == 4.0
    assert synthetic["ack_ms"]["p99_9"] == 250.0
    assert (synthetic["service_name"], synthetic["longest_pause_s"]) == ("here", 1.25)
    assert synthetic["given_up"] == {"UNAVAILABLE": {"points": 10, "requests": 1, "message": "database away"}}


def test_json_says_how_many_points_are_stored() -> None:
    totals = phase(ACKED, REPEATED, REFUSED, GIVEN_UP).totals
    totals.sent_points += 10
    totals.unanswered_points += 10
    counts = PhaseReport("synthetic", "here", 1.0, totals).as_json()
    ends = ("acked", "rejected", "refused", "given_up", "unanswered")
    assert [counts[f"points_{end}"] for end in ends] == [18, 2, 10, 10, 10]
    assert counts["points_sent"] == 50
    assert (counts["points_duplicate"], counts["retries"]) == (10, 0)
