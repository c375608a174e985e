"""Latencies in bounded memory: counts in buckets whose width grows with the value, as HDR histograms do."""

import math

import numpy as np
from numpy.typing import NDArray

_LOWEST_S = 1e-6
_HIGHEST_S = 86_400.0
_GROWTH = 1.01
"""Ratio of two bucket borders: the middle of a bucket is then less than 0.5 % off any value in it."""

_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = math.ceil(math.log(_HIGHEST_S / _LOWEST_S) / _LOG_GROWTH) + 1


class LatencyHistogram:
    """Counts of latencies from 1 µs to a day, 20 KiB however many are recorded; values beyond count as the border."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_BUCKETS, np.int64)
        self.max_s = 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    def record(self, latency_s: float) -> None:
        """Count one latency, in seconds."""
        clamped = min(max(latency_s, _LOWEST_S), _HIGHEST_S)
        self._counts[int(math.log(clamped / _LOWEST_S) / _LOG_GROWTH)] += 1
        self.max_s = max(self.max_s, latency_s)

    def percentile_s(self, percent: float) -> float | None:
        """Return the latency that ``percent`` of all recorded ones do not exceed, None where none is recorded."""
        cumulated = np.cumsum(self._counts)
        total = int(cumulated[-1])
        if not total:
            return None
        rank = min(max(math.ceil(total * percent / 100), 1), total)
        bucket = int(np.searchsorted(cumulated, rank))
        middle_s = _LOWEST_S * math.exp((bucket + 0.5) * _LOG_GROWTH)
        return min(middle_s, self.max_s)
