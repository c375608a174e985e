"""The points of one request, from the first one recorded to the answer."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ingestor.client.encode import Mint, Request, encode_columns_request
from ingestor.client.series import SeriesHandle
from ingestor.points import Ack
from ingestor.propagation import Metadata, inject

POINT_BYTES = 20
"""A point in columns: 4 bytes of series index, 8 of time, 8 of value."""

BATCH_BYTES = 2_000_000
"""Most bytes of one request, so that it stays below a message's 4 MiB whatever the length of its labels."""

BATCH_OVERHEAD_BYTES = 2_000
"""What a batch is charged beside its points: its objects, key, task and call."""


class PendingBatch:
    """Columns that grow until they are encoded; then only their number is left here. Waiting for ``ended`` is safe.

    The request belongs to the trace in which its first point was recorded.
    """

    __slots__ = ("_index", "_series_fields", "_times", "_trace", "_values", "encoded", "ended", "points", "size_bytes")

    def __init__(self) -> None:
        self.points = 0
        self.size_bytes = BATCH_OVERHEAD_BYTES
        self.encoded = False
        self.ended = asyncio.Event()
        self._trace: Metadata = ()
        self._series_fields: list[bytes] = []
        self._index, self._times, self._values = array("I"), array("q"), array("d")

    def append(self, series: SeriesHandle, value: float, time_ns: int) -> None:
        """Add a point.

        Raises:
            TypeError, OverflowError: value or time is no number, or too large for 64 bits; nothing is added.
        """
        self._values.append(value)
        try:
            self._times.append(time_ns)
        except (TypeError, OverflowError) as error:
            self._values.pop()
            raise type(error)(f"time_ns must be an int of 64 bits, nanoseconds since 1970: got {time_ns!r}") from None
        self._index.append(series.position if series.batch is self else self._place(series))
        if not self.points:
            self._trace = inject()
        self.points += 1
        self.size_bytes += POINT_BYTES

    def extend(
        self,
        series: Sequence[SeriesHandle],
        inverse: NDArray[np.integer],
        times_ns: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        """Add a point for each entry of the columns; ``inverse`` counts in ``series``."""
        places = np.array([one.position if one.batch is self else self._place(one) for one in series], np.uint32)
        self._index.frombytes(places[inverse].tobytes())
        self._times.frombytes(times_ns.tobytes())
        self._values.frombytes(values.tobytes())
        if not self.points:
            self._trace = inject()
        self.points += len(values)
        self.size_bytes += POINT_BYTES * len(values)

    def encode(self, ack: Ack | None, mint: Mint) -> Request:
        """Return the request with a key of its own and let go of the columns."""
        request = encode_columns_request(
            self._series_fields,
            np.frombuffer(self._index, np.uint32),
            np.frombuffer(self._times, np.int64),
            np.frombuffer(self._values, np.float64),
            ack,
            mint,
        )
        self.encoded = True
        # Handles of idle series point here for as long as they live.
        self._series_fields = []
        self._index, self._times, self._values = array("I"), array("q"), array("d")
        return replace(request, metadata=(*request.metadata, *self._trace))

    def _place(self, series: SeriesHandle) -> int:
        series.batch, series.position = self, len(self._series_fields)
        self._series_fields.append(series.field)
        self.size_bytes += series.size_bytes
        return series.position
