"""The limit on points per second: off, within, over, and what larger requests do."""

import pytest

from ingestor.errors import LimitError
from ingestor.pipeline.points_limit import PointsLimit


class Clock:
    """A clock that is set by hand."""

    now = 128.0

    def __call__(self) -> float:
        return self.now


def _refused(limit: PointsLimit, points: int) -> LimitError:
    with pytest.raises(LimitError) as refused:
        limit.take(points)
    return refused.value


def test_without_a_limit_everything_passes() -> None:
    limit = PointsLimit(0, Clock())
    for _ in range(100):
        limit.take(1_000_000)


def test_over_a_second_no_more_than_the_rate_passes_and_the_refused_are_told_when_to_come_back() -> None:
    clock = Clock()
    limit = PointsLimit(64, clock)
    limit.take(60)
    limit.take(4)
    error = _refused(limit, 1)
    assert (error.reason, error.retry_after_s) == ("points_limit", 1 / 64)
    clock.now += error.retry_after_s or 0.0
    limit.take(1)
    _refused(limit, 1)


def test_a_request_larger_than_a_second_passes_and_is_paid_for_afterwards() -> None:
    clock = Clock()
    limit = PointsLimit(64, clock)
    limit.take(1_000)
    assert _refused(limit, 1).retry_after_s == 937 / 64
    clock.now += 14.0
    _refused(limit, 1)
    clock.now += 2.0
    limit.take(1_000)
    clock.now += 3_600
    for _ in range(64):
        limit.take(1)
    _refused(limit, 1)
