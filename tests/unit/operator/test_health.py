"""When the operator must be restarted, and when not."""

from ingestor_operator.health import FIRST_LIST_S, STUCK_S, WatchProof, find_faults
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.queue import WorkQueue

KEY = ("team", "metrics")


def listed(version: str) -> list[Manifest]:
    """Return a listing with one Ingestor."""
    return [{"metadata": {"namespace": "team", "name": "metrics", "resourceVersion": version}}]


def seen() -> WatchProof:
    """Return a proof that has seen a listing."""
    proof = WatchProof()
    proof.listed([])
    return proof


def test_an_operator_that_never_sees_its_kind_says_so_after_a_while() -> None:
    assert find_faults(WorkQueue(), WatchProof(), FIRST_LIST_S - 1) == []
    (fault,) = find_faults(WorkQueue(), WatchProof(), FIRST_LIST_S + 1)
    assert "is the CRD there" in fault
    assert find_faults(WorkQueue(), seen(), FIRST_LIST_S + 1) == []


def test_a_watch_that_delivers_is_not_blind() -> None:
    proof = WatchProof()
    for version in ("1", "2", "3"):
        proof.delivered(KEY, version)
        proof.listed(listed(version))
        assert not proof.blind


def test_one_listing_may_be_ahead_of_the_watch() -> None:
    proof = WatchProof()
    proof.listed(listed("1"))
    assert not proof.blind
    proof.delivered(KEY, "1")
    proof.listed(listed("2"))
    assert not proof.blind
    proof.listed(listed("3"))  # behind again, but it may have brought 2 meanwhile
    assert not proof.blind


def test_what_two_listings_show_and_no_watch_brought_is_missed() -> None:
    proof = WatchProof()
    proof.listed(listed("1"))
    proof.listed(listed("1"))
    assert proof.blind
    assert find_faults(WorkQueue(), proof, 1) == ["the watch does not deliver what a listing shows"]


def test_a_watch_that_comes_late_heals_at_once() -> None:
    proof = WatchProof()
    proof.listed(listed("1"))
    proof.listed(listed("1"))
    proof.delivered(KEY, "1")
    assert not proof.blind


def test_one_that_is_gone_is_not_missed() -> None:
    proof = WatchProof()
    proof.listed(listed("1"))
    proof.listed([])
    proof.listed([])
    assert not proof.blind


def test_nobody_taking_work_is_a_fault_and_waiting_behind_long_work_is_none() -> None:
    now_s = [0.0]
    queue = WorkQueue(lambda: now_s[0])
    assert find_faults(queue, seen(), 9_999) == []
    now_s[0] = 5 * STUCK_S
    queue.add(KEY)
    assert find_faults(queue, seen(), 9_999) == []
    now_s[0] += STUCK_S + 1
    (fault,) = find_faults(queue, seen(), 9_999)
    assert "none was taken" in fault
