"""Percentiles from buckets are within one per cent of the exact ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.load.histogram import LatencyHistogram


@given(
    latencies=st.lists(st.floats(1e-6, 3600), min_size=1, max_size=200),
    percent=st.sampled_from([50, 90, 99, 99.9, 100]),
)
def test_a_percentile_is_within_one_per_cent(latencies: list[float], percent: float) -> None:
    histogram = LatencyHistogram()
    for latency_s in latencies:
        histogram.record(latency_s)
    exact = sorted(latencies)[max(math.ceil(len(latencies) * percent / 100), 1) - 1]
    assert histogram.percentile_s(percent) == pytest.approx(exact, rel=0.01)
    assert len(histogram) == len(latencies)
    assert histogram.max_s == max(latencies)


def test_without_latencies_there_is_no_percentile() -> None:
    assert LatencyHistogram().percentile_s(99) is None


@pytest.mark.parametrize("latency_s", [0.0, -1.0, 1e9])
def test_values_beyond_the_borders_are_counted(latency_s: float) -> None:
    histogram = LatencyHistogram()
    histogram.record(latency_s)
    assert len(histogram) == 1
