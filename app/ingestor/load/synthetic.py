"""Synthetic series: seeded random walks with two labels each, the data that every benchmark here uses.

The points of a burst are spread backwards from now, all series of one step before the next step, oldest first.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ingestor.client.encode import Batch, SeriesBlock, encode_series
from ingestor.load.options import STEP_S
from ingestor.points import Series

METRICS_PER_HOST = 10
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-1")
_STEP_NS = STEP_S * 1_000_000_000
_CACHED_BLOCKS = 256
"""Most blocks of series kept serialised: enough for 10,000 series in requests of 100."""


class SyntheticSource:
    """``points`` points over ``series`` random walks; the same seed gives the same series and values."""

    def __init__(self, *, service_name: str, points: int, series: int, seed: int, now_ns: int) -> None:
        self._points = points
        self._series = min(series, points)
        self._walk = _Walk(self._series, seed)
        self._messages = [encode_series(synthetic_series(service_name, number)) for number in range(self._series)]
        self._blocks: dict[tuple[int, int], SeriesBlock] = {}
        steps = -(-points // self._series)
        self._first_ns = now_ns - (steps - 1) * _STEP_NS

    def batches(self, batch_points: int) -> Iterator[Batch]:
        """Return all points in order, ``batch_points`` at a time; the last batch may be shorter."""
        for start in range(0, self._points, batch_points):
            yield self._batch(start, min(batch_points, self._points - start))

    def _batch(self, start: int, size: int) -> Batch:
        positions = np.arange(start, start + size, dtype=np.int64)
        first = start % self._series if size < self._series else 0
        index = (positions - first) % self._series
        return Batch(
            block=self._block(first, min(size, self._series)),
            series_index=index.astype(np.uint32),
            times_ns=self._first_ns + positions // self._series * _STEP_NS,
            values=self._walk.take(size),
        )

    def _block(self, first: int, size: int) -> SeriesBlock:
        block = self._blocks.get((first, size))
        if block is None:
            end = first + size
            wrapped = self._messages[: max(0, end - self._series)]
            block = SeriesBlock(self._messages[first:end] + wrapped)
            if len(self._blocks) < _CACHED_BLOCKS:
                self._blocks[first, size] = block
        return block


def synthetic_series(service_name: str, number: int) -> Series:
    """Return the identity of series ``number``: ten metrics for each host, hosts spread over regions."""
    host, metric = divmod(number, METRICS_PER_HOST)
    labels = (("host", f"host-{host:06d}"), ("region", REGIONS[host % len(REGIONS)]))
    return Series(service_name, f"synthetic.walk.{metric}", labels)


class _Walk:
    """Random walks of all series, step by step, handed out in pieces of any size."""

    def __init__(self, series: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._level = self._random.uniform(0.0, 100.0, series)
        self._step = self._level
        self._taken = 0

    def take(self, size: int) -> NDArray[np.float64]:
        pieces: list[NDArray[np.float64]] = []
        while size:
            if self._taken == len(self._step):
                self._level = self._level + self._random.standard_normal(len(self._level))
                self._step, self._taken = self._level, 0
            piece = self._step[self._taken : self._taken + size]
            pieces.append(piece)
            self._taken += len(piece)
            size -= len(piece)
        return np.concatenate(pieces)
