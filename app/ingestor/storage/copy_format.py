"""Rows of ``samples`` as PostgreSQL's binary COPY format, encoded with numpy.

Source: PostgreSQL documentation, "COPY", section "Binary Format".
"""

import numpy as np
from numpy.typing import NDArray

from ingestor.points import IdColumn, TimeColumn, ValueColumn

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in Unix microseconds: timestamptz counts from there."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0\0\0\0" + b"\0\0\0\0"
_TRAILER = b"\xff\xff"
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("time_length", ">i4"),
        ("time", ">i8"),
        ("series_length", ">i4"),
        ("series", ">i8"),
        ("value_length", ">i4"),
        ("value", ">f8"),
    ]
)
COLUMNS = ("time", "series_id", "value")
ROW_BYTES = _ROW.itemsize
_WHOLE_ROW = np.dtype((np.void, ROW_BYTES))
_LENGTHS = np.array([(3, 8, 0, 8, 0, 8, 0)], _ROW).view(_WHOLE_ROW)


def sort_order(ids: IdColumn, chunks: NDArray[np.int64] | None = None) -> NDArray[np.intp]:
    """Return the order in which rows go to the database: by chunk, None where all are in one, then roughly by series.

    The top 16 bits of the id suffice for the index's locality, and numpy sorts them by radix: 5 ns a row against 55
    for a full sort, with the same rate in the database (measured).
    """
    order = np.argsort((ids >> 48).astype(np.int16), kind="stable")
    return order if chunks is None else order[np.argsort(chunks[order], kind="stable")]


def encode_rows(ids: IdColumn, times_us: TimeColumn, values: ValueColumn) -> memoryview:
    """Return a whole COPY stream; times are Unix microseconds."""
    count = len(ids)
    stream = np.empty(len(_HEADER) + count * ROW_BYTES + len(_TRAILER), np.uint8)
    stream[: len(_HEADER)] = np.frombuffer(_HEADER, np.uint8)
    stream[-len(_TRAILER) :] = np.frombuffer(_TRAILER, np.uint8)
    body = stream[len(_HEADER) : -len(_TRAILER)]
    body.view(_WHOLE_ROW)[:] = _LENGTHS  # whole rows at once, which takes a third of the time of field by field
    rows = body.view(_ROW)
    rows["time"] = times_us - POSTGRES_EPOCH_US
    rows["series"] = ids
    rows["value"] = values
    return stream.data
