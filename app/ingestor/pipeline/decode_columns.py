"""Columns: packed fields of fixed width, which are numpy arrays already."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from analytics.v1 import ingestor_pb2
from analytics.wire.v1 import wire_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.block import Block, Faults
from ingestor.pipeline.known_columns import KnownColumns
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import Fault
from ingestor.points import SlotColumn, ValueColumn


class DecodedColumns(NamedTuple):
    """Points, and the slots of the series that they count in."""

    block: Block
    slots_of_series: SlotColumn


def decode_frame(frame: wire_pb2.ColumnsFrame, number: int, cache: SeriesCache, faults: Faults) -> DecodedColumns:
    """Return the points of the request's ``columns[number]``, read as bytes.

    Raises:
        InvalidRequestError: it is malformed, or its columns differ in length.
    """
    return _decode(
        frame.series,
        _column(frame.series_index, "<u4", f"columns[{number}].series_index").astype(np.uint32),
        _column(frame.time_unix_nano, "<i8", f"columns[{number}].time_unix_nano").astype(np.int64),
        _column(frame.value, "<f8", f"columns[{number}].value").astype(np.float64),
        (number, cache, faults),
    )


def decode_message(columns: ingestor_pb2.Columns, number: int, cache: SeriesCache, faults: Faults) -> Block:
    """Do the same for columns in any other encoding that protobuf allows."""
    return _decode(
        [series.SerializeToString() for series in columns.series],
        np.array(columns.series_index, np.uint32),
        np.array(columns.time_unix_nano, np.int64),
        np.array(columns.value, np.float64),
        (number, cache, faults),
    ).block


def decode_known(known: KnownColumns, faults: Faults) -> Block:
    """Do the same for the only columns of a request whose series are known."""
    return _lay_out(0, known.slots, known.series_index, known.times_ns.astype(np.int64), known.values.copy(), faults)


def _decode(
    series: Sequence[bytes],
    index: NDArray[np.uint32],
    times_ns: NDArray[np.int64],
    values: ValueColumn,
    context: tuple[int, SeriesCache, Faults],
) -> DecodedColumns:
    number, cache, faults = context
    known = [cache.get(raw) for raw in series]
    slots_of_series = np.array(
        [
            slot if slot is not None else _resolve(raw, f"columns[{number}].series[{position}]", cache, faults)
            for position, (raw, slot) in enumerate(zip(series, known, strict=True))
        ],
        np.int32,
    )
    if not len(index) == len(times_ns) == len(values):
        lengths = f"series_index {len(index)}, time_unix_nano {len(times_ns)}, value {len(values)}"
        raise _malformed(f"columns[{number}]", "lengths_differ", f"columns must have equal lengths, got {lengths}")
    return DecodedColumns(_lay_out(number, slots_of_series, index, times_ns, values, faults), slots_of_series)


def _lay_out(
    number: int,
    slots_of_series: SlotColumn,
    index: NDArray[np.uint32],
    times_ns: NDArray[np.int64],
    values: ValueColumn,
    faults: Faults,
) -> Block:
    if len(index) and index.max() >= len(slots_of_series):
        outside = index >= len(slots_of_series)
        text = f"points to a series that is not there: {len(slots_of_series)} are given"
        code = faults.code(Fault("series_index", "series_index_out_of_range", text, {}))
        slots = np.full(len(index), code, np.int32)
        slots[~outside] = slots_of_series[index[~outside]]
    else:
        slots = slots_of_series[index]

    def path(position: int, field: str) -> str:
        if field in {"series_index", "time_unix_nano"}:
            return f"columns[{number}].{field}[{position}]"
        return f"columns[{number}].series[{index[position]}].{field}"

    return Block(slots, times_ns, values, path)


def _resolve(raw: bytes, path: str, cache: SeriesCache, faults: Faults) -> int:
    try:
        found = cache.resolve(raw)
    except DecodeError:
        raise _malformed(path, "malformed", "is not a Series message, or a text in it is not valid UTF-8") from None
    return faults.code(found) if isinstance(found, Fault) else found


def _column(pieces: Sequence[bytes], dtype: str, path: str) -> NDArray[np.generic]:
    if any(len(piece) % np.dtype(dtype).itemsize for piece in pieces):
        raise _malformed(path, "malformed", "a packed piece is no whole number of entries")
    return np.frombuffer(b"".join(pieces), dtype)


def _malformed(path: str, reason: str, text: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(path, reason, text)])
