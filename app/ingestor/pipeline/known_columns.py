"""Columns whose series were seen before: the series' bytes are compared by hash, the columns after them are numpy's."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingestor.pipeline.frame import COLUMNS_TAG, read_length, varint_bytes
from ingestor.pipeline.shapes import Shape, Shapes
from ingestor.points import SlotColumn, ValueColumn

_SERIES_TAG = 0x0A
_FIELDS = ((0x12, 4), (0x1A, 8), (0x22, 8))
"""Tags and entry widths of series_index, time_unix_nano and value."""


class KnownColumns(NamedTuple):
    """Slots of the series, and the three columns as they are in the message, not yet checked."""

    slots: SlotColumn
    series_index: NDArray[np.uint32]
    times_ns: NDArray[np.int64]
    values: ValueColumn


def recall_columns(message: bytes, start: int, shapes: Shapes) -> KnownColumns | None:
    """Return the one block of columns that fills ``message`` from ``start`` on, None where its series are not known."""
    body = _body(message, start)
    shape = shapes.find(_key(body))
    if shape is None or shape.tails is not None:
        return None
    columns = _read_columns(body, shape.length)
    if columns is None or shapes.digest(body[: shape.length]) != shape.digest:
        return None
    return KnownColumns(shape.slots, *columns)


def learn_columns(message: bytes, start: int, slots: SlotColumn, count: int, shapes: Shapes) -> None:
    """Remember the series of a request's only block of columns, all valid, which has ``count`` points.

    The block has known fields only. Where its three columns stand in one piece each at its end, all before is series.
    """
    body = _body(message, start)
    head_bytes = len(body) - sum(1 + varint_bytes(count * width) + count * width for _, width in _FIELDS)
    if head_bytes > 0 and _read_columns(body, head_bytes) is not None:
        shapes.keep(_key(body), Shape(head_bytes, shapes.digest(body[:head_bytes]), slots))


def _body(message: bytes, start: int) -> memoryview:
    """Return the content of the columns that begin at ``start`` and end with the message, else nothing."""
    if len(message) > start and message[start] == COLUMNS_TAG:
        length, content = read_length(message, start + 1)
        if length and content + length == len(message):
            return memoryview(message)[content:]
    return memoryview(b"")


def _key(body: memoryview) -> bytes:
    """Return the first series, its length included; empty where the block does not begin with one."""
    if not body or body[0] != _SERIES_TAG:
        return b""
    length, content = read_length(body, 1)
    return bytes(body[: content + length])


def _read_columns(body: memoryview, start: int) -> tuple[NDArray[np.uint32], NDArray[np.int64], ValueColumn] | None:
    """Return the columns from ``start`` to the end, None where they are not one packed piece each, equally long."""
    pieces = []
    for tag, width in _FIELDS:
        if len(body) <= start or body[start] != tag:
            return None
        length, content = read_length(body, start + 1)
        start = content + length
        if not length or length % width or start > len(body):
            return None
        pieces.append(body[content:start])
    index, times_ns, values = pieces
    if start != len(body) or not len(index) // 4 == len(times_ns) // 8 == len(values) // 8:
        return None
    return np.frombuffer(index, "<u4"), np.frombuffer(times_ns, "<i8"), np.frombuffer(values, "<f8")
