"""From a request's bytes to valid points as columns, with everything that is wrong with the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from analytics.v1 import ingestor_pb2
from analytics.wire.v1 import wire_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.block import Block, Faults
from ingestor.pipeline.decode_columns import decode_frame, decode_message
from ingestor.pipeline.decode_rows import decode_rows
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import MAX_POINTS, Fault, Limits
from ingestor.points import Points, Reject

MAX_REJECTS = 100
"""Rejected points of one request that are told and kept; all are counted."""

_NANOS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Decoded:
    """A request's points. ``rejected`` counts invalid ones by reason, ``rejects`` are the first of them.

    ``digest`` covers series, times as sent and values of all points, so that a retry encoded otherwise has the same.
    ``added_bytes`` is what its new series take in the cache.
    """

    points: Points
    rejected: dict[str, int]
    rejects: tuple[Reject, ...]
    digest: int
    added_bytes: int
    key: bytes = b""
    ack: int = 0

    @property
    def received(self) -> int:
        """Return the number of points in the request."""
        return len(self.points) + sum(self.rejected.values())


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
        before = self._begin()
        faults = Faults()
        blocks = [decode_rows(frame.points, self.cache, faults)] if _checked_count(len(frame.points)) else []
        blocks += self._decode_columns(frame, message, faults)
        _checked_count(sum(map(len, blocks)))
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
        slots = np.concatenate([np.empty(0, np.int32), *(block.slots for block in blocks)])
        sent_ns = np.concatenate([np.empty(0, np.int64), *(block.times_ns for block in blocks)])
        values = np.concatenate([np.empty(0, np.float64), *(block.values for block in blocks)])
        table = self.cache.table
        ids = np.where(slots >= 0, table.ids(np.maximum(slots, 0)), 0)
        digest = xxhash.xxh3_64(ids.tobytes())
        digest.update(sent_ns.tobytes())
        digest.update(values.tobytes())
        times_us = self._check_times(slots, sent_ns, faults)
        rejected, rejects = _rejects(blocks, slots, sent_ns, faults)
        if rejected:
            valid = slots >= 0
            if len(slots) and not valid.any():
                raise InvalidRequestError([Violation(r.field, r.reason, r.message) for r in rejects], rejected)
            slots, times_us, values = slots[valid], times_us[valid], values[valid]
        first_us, last_us = (int(times_us.min()), int(times_us.max())) if len(times_us) else (0, 0)
        points = Points(table, slots, times_us, values, first_us, last_us)
        signed_digest = int.from_bytes(digest.digest(), "big", signed=True)
        return Decoded(points, rejected, rejects, signed_digest, self.cache.size_bytes - size_before)

    def _check_times(self, slots: np.ndarray, sent_ns: np.ndarray, faults: Faults) -> np.ndarray:
        """Return the times in microseconds, now where none was sent; mark those outside the window in ``slots``."""
        now_us = self._clock_ns() // 1_000
        times_us = sent_ns // 1_000
        times_us[sent_ns == 0] = now_us
        if not len(times_us):
            return times_us
        earliest, latest = now_us - self._limits.behind_us, now_us + self._limits.ahead_us
        if times_us.min() < earliest:
            text = f"is more than {self._limits.behind_us // 1_000_000} s before the server's time"
            behind = (times_us < earliest) & (slots >= 0)
            slots[behind] = faults.code(Fault("time_unix_nano", "time_too_far_behind", text, {}))
        if times_us.max() > latest:
            text = f"is more than {self._limits.ahead_us // 1_000_000} s after the server's time"
            ahead = (times_us > latest) & (slots >= 0)
            slots[ahead] = faults.code(Fault("time_unix_nano", "time_too_far_ahead", text, {}))
        return times_us


def _rejects(
    blocks: Sequence[Block], slots: np.ndarray, sent_ns: np.ndarray, faults: Faults
) -> tuple[dict[str, int], tuple[Reject, ...]]:
    """Count the invalid points by reason and describe the first of them."""
    invalid = np.flatnonzero(slots < 0)
    counts: dict[str, int] = {}
    for code, count in zip(*np.unique(slots[invalid], return_counts=True), strict=True):
        reason = faults.of(int(code)).reason
        counts[reason] = counts.get(reason, 0) + int(count)
    starts = np.cumsum([0, *map(len, blocks)])
    rejects = []
    for index in invalid[:MAX_REJECTS].tolist():
        fault = faults.of(int(slots[index]))
        block = int(np.searchsorted(starts, index, side="right")) - 1
        path = blocks[block].path(index - int(starts[block]), fault.field)
        point = {**fault.identity, "time_unix_nano": str(sent_ns[index])}
        rejects.append(Reject(index, fault.reason, path, fault.message, point))
    return counts, tuple(rejects)


def _plain_path(_: int, field: str) -> str:
    return "timestamp" if field == "time_unix_nano" else field


def _checked_count(count: int) -> int:
    if count > MAX_POINTS:
        text = f"{count} points in one request, at most {MAX_POINTS} are allowed"
        raise InvalidRequestError([Violation("points", "points_too_many", text)])
    return count


def _malformed(name: str) -> InvalidRequestError:
    text = f"is not a {name} message, or a text in it is not valid UTF-8"
    return InvalidRequestError([Violation("", "malformed", text)])
