"""The last two fields of a ``Point``, time and value, which are of fixed width: 18 bytes that numpy reads."""

import numpy as np
from numpy.typing import NDArray

from ingestor.points import ValueColumn

TAIL = np.dtype([("time_tag", "u1"), ("time", "<i8"), ("value_tag", "u1"), ("value", "<i8")])
TAIL_BYTES = TAIL.itemsize
_TIME_TAG, _DOUBLE_TAG, _INT_TAG = 0x21, 0x29, 0x31  # fields 4, 5 and 6 as fixed64


def read_tails(tails: NDArray[np.void]) -> tuple[NDArray[np.int64], ValueColumn, NDArray[np.bool_]]:
    """Return times, values, and which tails have the tags that a time and a value have."""
    is_int = tails["value_tag"] == _INT_TAG
    split = (tails["time_tag"] == _TIME_TAG) & (is_int | (tails["value_tag"] == _DOUBLE_TAG))
    times_ns = tails["time"].astype(np.int64)
    raw_values = tails["value"].astype(np.int64)
    values = raw_values.view(np.float64)
    if is_int.any():
        values = np.where(is_int, raw_values.astype(np.float64), values)
    return times_ns, values, split


def row_path(position: int, field: str) -> str:
    """Name a field of the request's row at ``position``."""
    return f"points[{position}].{field}"
