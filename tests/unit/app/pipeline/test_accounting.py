"""Every point received has one outcome; the sums hold whatever the outcome is."""

from collections import Counter

import pytest

from ingestor.errors import KeyReusedError, PermanentError, TransientError
from ingestor.pipeline.accounting import Accounting
from ingestor.points import Reject
from ingestor.storage.contract import Duplicate, Failed, Settled, Stored
from support.pipeline import make_held

TRANSIENT = Failed(TransientError("away", reason="database_away"))
PERMANENT = Failed(KeyReusedError())
REFUSED_ROW = Reject(0, "refused_by_database", "", "", "{}")


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("outcome", "expected", "expected_answered"),
    [
        (Stored(10), {"committed": 10, "rejected": 2, "duplicate": 12}, None),
        (Stored(9, {"refused_by_database": 1}, (REFUSED_ROW,)), {"committed": 9, "rejected": 3, "duplicate": 12}, None),
        (Duplicate(10, 2), {"duplicate": 24}, None),
        (Duplicate(3, 9), {"duplicate": 24}, None),
        (TRANSIENT, {"refused": 24}, None),
        (PERMANENT, {"refused": 24}, {"rejected": 12, "duplicate": 12}),
    ],
)
def test_an_outcome_accounts_for_all_points_of_a_request_and_of_its_repeats(
    outcome: Settled, expected: dict[str, int], expected_answered: dict[str, int] | None, answered: bool
) -> None:
    accounting = Accounting()
    held = make_held(10, rejected={"name_empty": 2}, answered=answered)
    held.repeats = 12
    accounting.receive(held.points)
    accounting.settle(held, outcome)
    totals = Counter({**accounting.outcomes, "rejected": sum(accounting.rejected.values())})
    assert +totals == Counter((expected_answered if answered else None) or expected)
    assert totals.total() == accounting.received == 24


def test_rejected_points_are_counted_by_their_reasons() -> None:
    accounting = Accounting()
    held = make_held(10, rejected={"name_empty": 2, "labels_too_many": 1})
    accounting.receive(held.points)
    accounting.settle(held, Stored(9, {"refused_by_database": 1}, (REFUSED_ROW,)))
    accounting.reject({"name_empty": 5})
    assert accounting.rejected == {"name_empty": 7, "labels_too_many": 1, "refused_by_database": 1}
    assert accounting.received == 18


def test_points_given_up_after_their_caller_was_answered_are_counted_under_the_reason() -> None:
    accounting = Accounting()
    held = make_held(10, rejected={"name_empty": 2}, answered=True)
    accounting.receive(held.points)
    accounting.settle(held, Failed(PermanentError("too wide", reason="too_wide")))
    assert accounting.rejected == {"too_wide": 12}


@pytest.mark.parametrize(("answered", "outcome"), [(True, "abandoned"), (False, "refused")])
def test_points_given_up_at_exit_are_abandoned_only_where_their_caller_has_its_answer(
    answered: bool, outcome: str
) -> None:
    accounting = Accounting()
    held = make_held(10, rejected={"name_empty": 2}, answered=answered)
    accounting.receive(held.points)
    accounting.abandon(held)
    assert {name: count for name, count in accounting.outcomes.items() if count} == {outcome: 12}
    assert accounting.received == 12
