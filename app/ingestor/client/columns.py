"""Points that come as columns, cut into pieces that fit a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ingestor.client.batch import POINT_BYTES, PendingBatch
from ingestor.client.series import SeriesHandle

_MAX_TIME_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Points that fit one batch; ``most_bytes`` is their size where none of their series is in it yet."""

    series: list[SeriesHandle]
    inverse: NDArray[np.integer]
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    most_bytes: int

    def put_into(self, batch: PendingBatch) -> None:
        """Append the points to ``batch``."""
        batch.extend(self.series, self.inverse, self.times_ns, self.values)

    def size_in(self, batch: PendingBatch) -> int:
        """Return what the points add to ``batch``, in bytes."""
        texts = sum(one.size_bytes for one in self.series if one.batch is not batch)
        return texts + POINT_BYTES * len(self.values)


class PointColumns:
    """Columns of equal length that the caller keeps as they are until they are taken."""

    def __init__(
        self, series: Sequence[SeriesHandle], series_index: ArrayLike, times_ns: ArrayLike, values: ArrayLike
    ) -> None:
        self._series = series
        self._index = np.asarray(series_index)
        self._times_ns = np.asarray(times_ns)
        self._values = _numbers(values)
        if not self._index.ndim == self._times_ns.ndim == self._values.ndim == 1:
            raise ValueError("columns have one dimension")
        if not len(self._index) == len(self._times_ns) == len(self._values):
            lengths = f"{len(self._index)}, {len(self._times_ns)} and {len(self._values)}"
            raise ValueError(f"columns must have equal lengths, got {lengths}")
        if not len(self):
            return
        if self._index.dtype.kind not in "iu" or self._times_ns.dtype.kind not in "iu":
            raise TypeError("series_index and times_ns are integers")
        if self._times_ns.dtype.kind == "u" and self._times_ns.max() > _MAX_TIME_NS:
            raise ValueError("times_ns must be nanoseconds since 1970 in 63 bits")
        if self._index.min() < 0 or self._index.max() >= len(series):
            raise ValueError(f"series_index must be from 0 to {len(series) - 1}")

    def __len__(self) -> int:
        return len(self._values)

    def piece(self, start: int, max_points: int, max_bytes: int) -> Piece:
        """Return the points from ``start`` on: one at least, and no more than the bounds allow beyond it."""
        index = self._index[start : start + max_points]
        places, first, inverse = np.unique(index, return_index=True, return_inverse=True)
        try:
            sizes = np.array([self._series[place].size_bytes for place in places.tolist()], np.int64)
        except AttributeError:
            raise TypeError("series must be handles, as `Client.series` returns them") from None
        most_bytes = int(sizes.sum()) + POINT_BYTES * len(index)
        if most_bytes > max_bytes and len(index) > 1:
            added = np.full(len(index), POINT_BYTES, np.int64)
            added[first] += sizes
            fitting = int(np.searchsorted(np.cumsum(added), max_bytes, "right"))
            return self.piece(start, max(1, fitting), most_bytes)
        end = start + len(index)
        return Piece(
            [self._series[place] for place in places.tolist()],
            inverse,
            self._times_ns[start:end].astype(np.int64, copy=False),
            self._values[start:end],
            most_bytes,
        )


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as double precision; numpy would make numbers of texts, of None and of complex ones, too."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "biuf":
        raise TypeError(f"values must be real numbers, got an array of type {array.dtype}")
    return array.astype(np.float64, copy=False)
