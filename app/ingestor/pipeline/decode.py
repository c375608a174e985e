"""From a request's bytes to valid points as columns, with everything that is wrong with the others."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from analytics.v1 import ingestor_pb2
from analytics.wire.v1 import wire_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.assemble import Decoded, assemble
from ingestor.pipeline.block import Block, Faults
from ingestor.pipeline.decode_columns import decode_frame, decode_message
from ingestor.pipeline.decode_rows import decode_rows
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
        try:
            frame = wire_pb2.WriteFrame.FromString(message)
        except DecodeError:
            raise _malformed("WriteRequest") from None
        _check_count(len(frame.points), MAX_ROWS, "points")
        _check_count(len(frame.columns), MAX_COLUMNS, "columns")
        _check_count(sum(len(columns.series) for columns in frame.columns), MAX_SERIES, "columns.series")
        before = self._begin()
        faults = Faults()
        blocks = [decode_rows(frame.points, self.cache, faults)] if frame.points else []
        blocks += self._decode_columns(frame, message, faults)
        _check_count(sum(map(len, blocks)), MAX_POINTS, "points")
        decoded = self._finish(blocks, faults, before)
        decoded.key, decoded.ack = frame.idempotency_key, frame.ack
        return decoded

    def decode_log_metric(self, message: bytes) -> Decoded:
        """Decode a ``LogMetricsRequest``; raises as ``decode_write`` does."""
        try:
            request = ingestor_pb2.LogMetricsRequest.FromString(message)
        except DecodeError:
            raise _malformed("LogMetricsRequest") from None
        before = self._begin()
        faults = Faults()
        found = self.cache.resolve_fields(request)
        slot = faults.code(found) if isinstance(found, Fault) else found
        value = request.double_value if request.HasField("double_value") else float(request.value)
        sent_ns = request.timestamp.seconds * _NANOS_PER_S + request.timestamp.nanos
        sent_ns = max(-(1 << 63), min((1 << 63) - 1, sent_ns))  # far outside any window either way
        block = Block(
            np.array([slot], np.int32), np.array([sent_ns], np.int64), np.array([value], np.float64), _plain_path
        )
        return self._finish([block], faults, before)

    def _begin(self) -> int:
        self.cache.begin_request()
        return self.cache.size_bytes

    def _decode_columns(self, frame: wire_pb2.WriteFrame, message: bytes, faults: Faults) -> list[Block]:
        if any(len(UnknownFieldSet(columns)) for columns in frame.columns):  # an entry that is not packed, for one
            try:
                request = ingestor_pb2.WriteRequest.FromString(message)
            except DecodeError:
                raise _malformed("WriteRequest") from None
            return [decode_message(one, number, self.cache, faults) for number, one in enumerate(request.columns)]
        return [decode_frame(one, number, self.cache, faults) for number, one in enumerate(frame.columns)]

    def _finish(self, blocks: Sequence[Block], faults: Faults, size_before: int) -> Decoded:
        decoded = assemble(blocks, faults, self.cache.table, self._limits, self._clock_ns() // 1_000)
        decoded.added_bytes = self.cache.size_bytes - size_before
        return decoded


def _plain_path(_: int, field: str) -> str:
    return "timestamp" if field == "time_unix_nano" else field


def _check_count(count: int, limit: int, path: str) -> None:
    if count > limit:
        text = f"{count} in one request, at most {limit} are allowed"
        raise InvalidRequestError([Violation(path, "request_too_large", text)])


def _malformed(name: str) -> InvalidRequestError:
    text = f"is not a {name} message, or a text in it is not valid UTF-8"
    return InvalidRequestError([Violation("", "malformed", text)])
