"""Synthetic points are reproducible, complete, and never of the future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.load.synthetic import SyntheticSource, synthetic_series

NOW_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000_000

Row = tuple[bytes, int, float]


def read(points: int, series: int, batch_points: int, seed: int = 1) -> list[Row]:
    source = SyntheticSource(service_name="s", points=points, series=series, seed=seed, now_ns=NOW_NS)
    return [
        (batch.block.messages[index], time_ns, value)
        for batch in source.batches(batch_points)
        for index, time_ns, value in zip(
            batch.series_index.tolist(), batch.times_ns.tolist(), batch.values.tolist(), strict=True
        )
    ]


@given(points=st.integers(1, 300), series=st.integers(1, 50), batch_points=st.integers(1, 120))
def test_the_size_of_requests_does_not_change_the_points(points: int, series: int, batch_points: int) -> None:
    rows = read(points, series, batch_points)
    assert rows == read(points, series, points)
    assert len(rows) == points
    assert len({(identity, time_ns) for identity, time_ns, _ in rows}) == points


@given(points=st.integers(1, 300), series=st.integers(1, 50))
def test_times_go_back_from_now_in_steps_of_ten_seconds(points: int, series: int) -> None:
    times = [time_ns for _, time_ns, _ in read(points, series, 64)]
    assert times == sorted(times)
    assert times[-1] == NOW_NS
    assert set(np.diff(times)) <= {0, STEP_NS}


def test_the_default_burst_covers_a_thousand_seconds() -> None:
    source = SyntheticSource(service_name="s", points=1_000_000, series=10_000, seed=1, now_ns=NOW_NS)
    first = next(source.batches(10_000))
    assert first.times_ns.tolist() == [NOW_NS - 99 * STEP_NS] * 10_000


def test_the_seed_decides_the_values() -> None:
    assert read(50, 5, 10, seed=7) == read(50, 5, 10, seed=7)
    assert read(50, 5, 10, seed=7) != read(50, 5, 10, seed=8)


def test_values_walk() -> None:
    walk = [value for _, _, value in read(1_000, 1, 100)]
    steps = np.diff(walk)
    assert 0.8 < np.std(steps) < 1.2


def test_every_series_is_another_one_with_two_labels() -> None:
    series = [synthetic_series("s", number) for number in range(2_000)]
    assert len(set(series)) == 2_000
    assert {tuple(name for name, _ in one.labels) for one in series} == {("host", "region")}


@pytest.mark.parametrize(("size", "named"), [(4, 4), (10, 10), (25, 10)])
def test_a_request_names_only_the_series_that_it_has(size: int, named: int) -> None:
    source = SyntheticSource(service_name="s", points=50, series=10, seed=1, now_ns=NOW_NS)
    for batch in source.batches(size):
        if len(batch) == size:
            assert len(batch.block.messages) == named
        assert len({pb.Series.FromString(m).SerializeToString() for m in batch.block.messages}) == len(
            batch.block.messages
        )


def test_a_block_of_series_is_serialised_once() -> None:
    source = SyntheticSource(service_name="s", points=100, series=10, seed=1, now_ns=NOW_NS)
    assert len({id(batch.block) for batch in source.batches(5)}) == 2
