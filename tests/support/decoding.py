"""Decoders at a fixed time, and what they return in a form that compares."""

import struct
from dataclasses import replace

import pytest

from ingestor.config import load_settings
from ingestor.errors import InvalidRequestError
from ingestor.pipeline.assemble import MAX_REJECTS, Decoded
from ingestor.pipeline.decode import Decoder
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import Limits, Retention
from support.wire import PointRead, Reading, Window, read_naively

NOW_NS = 1_790_000_000_123_456_789
NOW_US = NOW_NS // 1_000
LIMITS = Limits.from_settings(load_settings(database_url="postgresql://unused"))


def limits_with(retention: Retention) -> Limits:
    """Return the default limits of a server that learns of ``retention``."""
    return replace(LIMITS, retention=retention)


def new_decoder(limits: Limits = LIMITS, cache_bytes: int = 1 << 26) -> Decoder:
    """Return a decoder with an empty cache whose clock stands still."""
    return Decoder(limits, SeriesCache(limits, cache_bytes), lambda: NOW_NS)


def valid_points(decoded: Decoded) -> list[PointRead]:
    """Return the points one by one: identity, microseconds, the value's bytes."""
    points = decoded.points
    series = [points.table.series[slot] for slot in points.slots]
    return [
        ((one.service_name, one.metric_name, one.labels), int(time_us), struct.pack("<d", value))
        for one, time_us, value in zip(series, points.times_us, points.values, strict=True)
    ]


def check_against_naive_reading(decoder: Decoder, message: bytes, kept_us: int | None = None) -> Reading:
    """Assert that ``decoder`` makes of a ``WriteRequest`` what reading it point by point makes of it."""
    expected = read_naively(message, Window(NOW_US, LIMITS.behind_us, LIMITS.ahead_us, kept_us))
    if expected.refusal is not None:
        _check_refusal(decoder, message, expected)
        return expected
    decoded = decoder.decode_write(message)
    assert valid_points(decoded) == expected.valid
    assert decoded.rejected == expected.rejected
    assert [(r.index, r.reason, r.field) for r in decoded.rejects] == expected.rejects[:MAX_REJECTS]
    assert decoded.received == len(expected.valid) + len(expected.rejects)
    times_us = [time_us for _, time_us, _ in expected.valid] or [0]
    assert (decoded.points.first_us, decoded.points.last_us) == (min(times_us), max(times_us))
    return expected


def _check_refusal(decoder: Decoder, message: bytes, expected: Reading) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decoder.decode_write(message)
    error = refused.value
    assert error.reason == expected.refusal
    if expected.refusal not in ("malformed", "lengths_differ"):
        assert error.rejected == expected.rejected
        told = [(violation.reason, violation.field) for violation in error.violations]
        assert told == [(reason, where) for _, reason, where in expected.rejects[:MAX_REJECTS]]
