"""Connections per pod: all pods together never hold more than they may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor_operator.budget import connections_per_pod
from ingestor_operator.errors import BlockedError


@pytest.mark.parametrize(
    ("most", "replicas", "each"),
    [
        (50, 2, 2),  # 47 over 5 pods would be 9; more than 2 bring nothing
        (50, 11, 2),
        (50, 12, 1),
        (50, 23, 1),
        (4, 0, 1),
        (8, 2, 1),
        (100, 1, 2),
    ],
)
def test_the_rule(most: int, replicas: int, each: int) -> None:
    assert connections_per_pod(most, replicas) == each


@given(most=st.integers(4, 10_000), replicas=st.integers(0, 1000))
def test_a_rollout_stays_within_the_bound(most: int, replicas: int) -> None:
    try:
        each = connections_per_pod(most, replicas)
    except BlockedError:
        assert 2 * replicas + 1 > most - 3
    else:
        assert 1 <= each <= 2
        assert each * (2 * replicas + 1) + 3 <= most


@given(most=st.integers(4, 10_000), replicas=st.integers(0, 100), present=st.integers(0, 9) | st.none())
def test_what_running_pods_have_stays_where_it_fits(most: int, replicas: int, present: int | None) -> None:
    try:
        each = connections_per_pod(most, replicas, present)
    except BlockedError:
        assert 2 * replicas + 1 > most - 3
    else:
        assert each >= 1
        assert each * (2 * replicas + 1) + 3 <= most
        if present and present * (2 * replicas + 1) + 3 <= most:
            assert each == present


def test_a_refusal_has_the_numbers() -> None:
    with pytest.raises(BlockedError, match="maxConnections is 50, but 24 pods need 52") as refusal:
        connections_per_pod(50, 24)
    assert refusal.value.reason == "TooFewConnections"
