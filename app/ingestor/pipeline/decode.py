"""From a request's bytes to valid points as columns, with everything that is wrong with the others."""

import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from analytics.v1 import ingestor_pb2
from analytics.wire.v1 import wire_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.assemble import Decoded, OnePoint, assemble, assemble_one
from ingestor.pipeline.block import Block, Faults
from ingestor.pipeline.decode_columns import decode_frame, decode_known, decode_message
from ingestor.pipeline.decode_rows import decode_rows
from ingestor.pipeline.frame import read_prefix
from ingestor.pipeline.known_columns import learn_columns, recall_columns
from ingestor.pipeline.known_rows import learn_rows, recall_rows
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import MAX_COLUMNS, MAX_POINTS, MAX_ROWS, MAX_SERIES, Fault, Limits

_NANOS_PER_S = 1_000_000_000


class Decoder:
    """Decode and validate requests; one a process, for it owns the series cache."""

    def __init__(self, limits: Limits, cache: SeriesCache, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._limits = limits
        self.cache = cache
        self._clock_ns = clock_ns

    def decode_write(self, message: bytes) -> Decoded:
        """Decode a ``WriteRequest``.

        Raises:
            InvalidRequestError: it is malformed, or it has points and none is valid.
        """
        before = self._begin()
        faults = Faults()
        prefix = read_prefix(message)
        block = self._recall(message, prefix.end, faults)
        if block is not None:
            key, ack, blocks = prefix.key, prefix.ack, [block]
        else:
            frame = _parse(message)
            key, ack = frame.idempotency_key, frame.ack
            blocks = self._decode_frame(frame, message, prefix.end, faults)
        _check_count(sum(map(len, blocks)), MAX_POINTS, "points")
        decoded = self._finish(blocks, faults, before)
        decoded.key, decoded.ack = key, ack
        return decoded

    def decode_log_metric(self, message: bytes) -> Decoded:
        """Decode a ``LogMetricsRequest``; raises as ``decode_write`` does."""
        return assemble_one(self.cache.table, self.read_log_metric(message))

    def read_log_metric(self, message: bytes) -> OnePoint:
        """Do the same and leave the point by itself, of the cache's table."""
        try:
            request = ingestor_pb2.LogMetricsRequest.FromString(message)
        except DecodeError:
            raise _malformed("LogMetricsRequest") from None
        before = self._begin()
        found = self.cache.resolve_fields(request)
        value = request.double_value if request.HasField("double_value") else float(request.value)
        sent_ns = request.timestamp.seconds * _NANOS_PER_S + request.timestamp.nanos
        now_us = self._clock_ns() // 1_000
        time_us = sent_ns // 1_000 if sent_ns else now_us
        limits = self._limits
        if isinstance(found, Fault) or not now_us - limits.oldest_us <= time_us <= now_us + limits.ahead_us:
            self._refuse_single(found, sent_ns, value, now_us)
        return OnePoint(found, time_us, value, sent_ns, self.cache.size_bytes - before)

    def _refuse_single(self, found: int | Fault, sent_ns: int, value: float, now_us: int) -> NoReturn:
        faults = Faults()
        slot = faults.code(found) if isinstance(found, Fault) else found
        sent_ns = max(-(1 << 63), min((1 << 63) - 1, sent_ns))  # far outside any window either way
        slots, times_ns, values = np.array([slot], np.int32), np.array([sent_ns], np.int64), np.array([value])
        assemble([Block(slots, times_ns, values, _plain_path)], faults, self.cache.table, self._limits, now_us)
        raise AssertionError("a valid point was to be refused")

    def _begin(self) -> int:
        self.cache.begin_request()
        return self.cache.size_bytes

    def _recall(self, message: bytes, start: int, faults: Faults) -> Block | None:
        """Return the points of a request whose shape is known."""
        rows = recall_rows(message, start, self.cache.shapes)
        if rows is not None:
            return rows
        columns = recall_columns(message, start, self.cache.shapes)
        return None if columns is None else decode_known(columns, faults)

    def _decode_frame(self, frame: wire_pb2.WriteFrame, message: bytes, start: int, faults: Faults) -> list[Block]:
        """Return the points of any request, and remember its shape where all points have their usual form."""
        blocks = []
        if frame.points:
            rows, all_split = decode_rows(frame.points, self.cache, faults)
            if all_split and not frame.columns:
                learn_rows(message, start, frame.points, rows.slots, self.cache.shapes)
            blocks.append(rows)
        if any(len(UnknownFieldSet(columns)) for columns in frame.columns):  # an entry that is not packed, for one
            return blocks + self._decode_messages(message, faults)
        decoded = [decode_frame(one, number, self.cache, faults) for number, one in enumerate(frame.columns)]
        if len(decoded) == 1 and not frame.points and not faults.found:
            slots, count = decoded[0].slots_of_series, len(decoded[0].block)
            learn_columns(message, start, slots, count, self.cache.shapes)
        return blocks + [one.block for one in decoded]

    def _decode_messages(self, message: bytes, faults: Faults) -> list[Block]:
        """Return the columns of a request, some of them in an encoding that few write."""
        try:
            request = ingestor_pb2.WriteRequest.FromString(message)
        except DecodeError:
            raise _malformed("WriteRequest") from None
        return [decode_message(one, number, self.cache, faults) for number, one in enumerate(request.columns)]

    def _finish(self, blocks: Sequence[Block], faults: Faults, size_before: int) -> Decoded:
        decoded = assemble(blocks, faults, self.cache.table, self._limits, self._clock_ns() // 1_000)
        decoded.added_bytes = self.cache.size_bytes - size_before
        return decoded


def _parse(message: bytes) -> wire_pb2.WriteFrame:
    try:
        frame = wire_pb2.WriteFrame.FromString(message)
    except DecodeError:
        raise _malformed("WriteRequest") from None
    _check_count(len(frame.points), MAX_ROWS, "points")
    _check_count(len(frame.columns), MAX_COLUMNS, "columns")
    _check_count(sum(len(columns.series) for columns in frame.columns), MAX_SERIES, "columns.series")
    return frame


def _plain_path(_: int, field: str) -> str:
    return "timestamp" if field == "time_unix_nano" else field


def _check_count(count: int, limit: int, path: str) -> None:
    if count > limit:
        text = f"{count} in one request, at most {limit} are allowed"
        raise InvalidRequestError([Violation(path, "request_too_large", text)])


def _malformed(name: str) -> InvalidRequestError:
    text = f"is not a {name} message, or a text in it is not valid UTF-8"
    return InvalidRequestError([Violation("", "malformed", text)])
