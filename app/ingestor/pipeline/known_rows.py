"""Rows of a shape seen before: times and values are picked out of the message, everything else is compared by hash."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingestor.pipeline.block import Block
from ingestor.pipeline.frame import POINT_TAG, read_length
from ingestor.pipeline.row_tails import TAIL, TAIL_BYTES, read_tails, row_path
from ingestor.pipeline.shapes import Shape, Shapes
from ingestor.points import SlotColumn

_ANY_TAIL = np.dtype(f"V{TAIL_BYTES}")  # numpy copies items without fields twice as fast


def recall_rows(message: bytes, start: int, shapes: Shapes) -> Block | None:
    """Return the rows that fill ``message`` from ``start`` on, None where their shape is not known."""
    key = _key(message, start)
    shape = shapes.find(key) if key else None
    if shape is None or shape.tails is None or shape.length != len(message) - start:
        return None
    tails, digest = _split(message, start, shape.tails, shapes)
    if digest != shape.digest:
        return None
    times_ns, values, _ = read_tails(tails)
    return Block(shape.slots, times_ns, values, row_path)


def learn_rows(message: bytes, start: int, points: Sequence[bytes], slots: SlotColumn, shapes: Shapes) -> None:
    """Remember rows that were decoded one by one; all are valid and were split into identity and tail."""
    key = _key(message, start)
    lengths = np.fromiter(map(len, points), np.int64, len(points))
    ends = np.cumsum(lengths + 1 + _varint_bytes(lengths))
    if key and ends[-1] == len(message) - start:
        positions = ends - TAIL_BYTES
        _, digest = _split(message, start, positions, shapes)
        shapes.keep(key, Shape(len(message) - start, digest, slots.copy(), positions))


def _key(message: bytes, start: int) -> bytes:
    """Return the first point up to its tail, its length included; empty where no point starts there."""
    if len(message) <= start or message[start] != POINT_TAG:
        return b""
    length, content = read_length(message, start + 1)
    return message[start : content + length - TAIL_BYTES] if length >= TAIL_BYTES else b""


def _split(message: bytes, start: int, positions: NDArray[np.int64], shapes: Shapes) -> tuple[NDArray[np.void], bytes]:
    """Return the tails at ``positions``, and the hash of everything else and of the tails' tags."""
    rest = np.frombuffer(message, np.uint8, offset=start).copy()
    windows = np.ndarray(len(rest) - TAIL_BYTES + 1, _ANY_TAIL, buffer=rest.data, strides=(1,))
    tails = windows[positions].view(TAIL)
    tags = np.zeros(len(positions), TAIL)
    tags["time_tag"], tags["value_tag"] = tails["time_tag"], tails["value_tag"]
    windows[positions] = tags.view(_ANY_TAIL)
    return tails, shapes.digest(rest.data)


def _varint_bytes(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes an encoder takes for each length; a message has less than 2**28 bytes."""
    return 1 + (lengths > 0x7F) + (lengths > 0x3FFF) + (lengths > 0x1F_FFFF)
