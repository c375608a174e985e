"""The sampler's bound holds per second and reason, and a flush that failed has used none of it."""

import pytest

from ingestor.points import Reject
from ingestor.storage.rejects import ROWS_PER_S, RejectSampler


class _Clock:
    now_s = 7.2

    def __call__(self) -> float:
        return self.now_s


class _Error(Exception):
    pass


def _rejects(count: int, reason: str = "refused_by_database") -> list[Reject]:
    return [Reject(0, reason, "value", "not with me", "{}") for _ in range(count)]


def _pass(sampler: RejectSampler, rejects: list[Reject]) -> int:
    with sampler.sample(rejects) as kept:
        return len(kept)


def test_each_reason_has_its_bound_in_each_second() -> None:
    clock = _Clock()
    sampler = RejectSampler(clock)
    assert [_pass(sampler, _rejects(60)) for _ in range(3)] == [60, ROWS_PER_S - 60, 0]
    assert _pass(sampler, _rejects(5, "late")) == 5
    clock.now_s = 8.0
    assert _pass(sampler, _rejects(ROWS_PER_S + 1)) == ROWS_PER_S


def test_what_was_not_written_counts_for_nothing() -> None:
    sampler = RejectSampler(_Clock())
    for _ in range(3):
        with pytest.raises(_Error), sampler.sample(_rejects(60)):
            raise _Error
    assert [_pass(sampler, _rejects(60)) for _ in range(2)] == [60, ROWS_PER_S - 60]


def test_a_failure_gives_the_next_second_no_more() -> None:
    clock = _Clock()
    sampler = RejectSampler(clock)
    with pytest.raises(_Error), sampler.sample(_rejects(60)):
        clock.now_s = 8.0
        assert _pass(sampler, _rejects(60)) == 60
        raise _Error
    assert _pass(sampler, _rejects(60)) == ROWS_PER_S - 60
