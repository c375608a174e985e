"""Rows: points taken as bytes, split into an identity that is looked up whole and a tail of fixed width.

Encoders write fields in number order, so a point ends in 18 bytes of time and value, and what stands before has the
bytes of its ``Series``. Where that look-up hits, the split is sound: those bytes were parsed before as one whole
identity, so the tail begins at a field. Everything else is parsed as the message it is.
"""

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import DecodeError

from analytics.v1 import ingestor_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.block import Block, Faults
from ingestor.pipeline.row_tails import TAIL, TAIL_BYTES, read_tails, row_path
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import Fault
from ingestor.points import describe_identity


def decode_rows(points: Sequence[bytes], cache: SeriesCache, faults: Faults) -> tuple[Block, bool]:
    """Return the points of a request's rows, and whether all are valid and were split so.

    Raises:
        InvalidRequestError: one of them is not a Point message.
    """
    count = len(points)
    joined = b"".join([point[-TAIL_BYTES:] for point in points])
    if len(joined) != count * TAIL_BYTES:  # a point shorter than a tail
        joined = b"".join([point[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0") for point in points])
    tails = np.frombuffer(joined, TAIL)
    get = cache.get
    slots = np.array([get(point[:-TAIL_BYTES], -1) for point in points], np.int32)
    times_ns, values, split = read_tails(tails)
    all_split = True
    for position in np.flatnonzero(~split | (slots < 0)).tolist():
        point = points[position]
        found = cache.resolve_prefix(point[:-TAIL_BYTES]) if split[position] else None
        if found is None:
            all_split = False
            found, times_ns[position], values[position] = _decode_message(point, position, cache)
        slots[position] = faults.code(found) if isinstance(found, Fault) else found
    return Block(slots, times_ns, values, row_path), all_split and not faults.found


def _decode_message(raw: bytes, position: int, cache: SeriesCache) -> tuple[int | Fault, int, float]:
    try:
        point = ingestor_pb2.Point.FromString(raw)
    except DecodeError:
        text = "is not a Point message, or a text in it is not valid UTF-8"
        raise InvalidRequestError([Violation(f"points[{position}]", "malformed", text)]) from None
    kind = point.WhichOneof("value")
    if kind is None:
        identity = describe_identity(point.service_name, point.metric_name, ((x.name, x.value) for x in point.labels))
        return Fault("value", "value_missing", "must be set", identity), point.time_unix_nano, 0.0
    value = point.double_value if kind == "double_value" else float(point.int_value)
    return cache.resolve_fields(point), point.time_unix_nano, value
