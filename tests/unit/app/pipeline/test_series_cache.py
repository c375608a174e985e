"""The cache of series: one slot a series, bounded in bytes, bounded a request."""

import gc

import pytest
from google.protobuf.message import DecodeError

from analytics.v1 import ingestor_pb2 as pb
from ingestor.errors import TransientError
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import Fault
from support.decoding import LIMITS
from support.wire import text_field, varint_field


def _raw(name: str) -> bytes:
    return pb.Series(service_name="s", metric_name=name).SerializeToString()


def _cache(max_bytes: int = 1 << 20) -> SeriesCache:
    cache = SeriesCache(LIMITS, max_bytes)
    cache.begin_request()
    return cache


def test_a_series_has_one_slot_however_it_is_encoded() -> None:
    cache = _cache()
    other_order = text_field(2, "m") + text_field(1, "s")
    assert cache.resolve(_raw("m")) == cache.resolve(other_order) == cache.resolve(_raw("m")) == 0
    assert cache.resolve(_raw("n")) == 1
    assert len(cache.table) == 2


def test_a_known_series_is_found_by_its_bytes_alone() -> None:
    cache = _cache()
    assert cache.get(_raw("m")) is None
    cache.resolve(_raw("m"))
    assert cache.get(_raw("m")) == 0


def test_an_invalid_series_is_told_and_never_kept() -> None:
    cache = _cache()
    found = cache.resolve(_raw(""))
    assert isinstance(found, Fault)
    assert (found.reason, cache.size_bytes, cache.get(_raw(""))) == ("name_empty", 0, None)


def test_bytes_that_are_no_series_are_told_as_such() -> None:
    with pytest.raises(DecodeError):
        _cache().resolve(b"\xff")
    assert _cache().resolve_prefix(b"\xff") is None


def test_a_prefix_with_anything_but_an_identity_is_not_taken_for_one() -> None:
    cache = _cache()
    assert cache.resolve_prefix(_raw("m") + varint_field(9, 1)) is None
    assert cache.resolve_prefix(_raw("m")) == 0


def test_a_full_cache_starts_anew_and_requests_keep_the_table_they_began_with() -> None:
    cache = _cache(max_bytes=5_000)
    first = cache.table
    for n in range(20):
        cache.resolve(_raw(f"m{n}"))
    assert cache.table is first  # never in the middle of a request
    assert cache.size_bytes > 5_000
    cache.begin_request()
    assert cache.table is not first
    assert (cache.size_bytes, cache.get(_raw("m0")), len(first)) == (0, None, 20)


def _fill(cache: SeriesCache) -> None:
    for n in range(20):
        cache.resolve(_raw(f"m{n}"))


def test_requests_that_keep_old_tables_alive_leave_no_room_for_another_until_they_are_gone() -> None:
    cache = _cache(max_bytes=5_000)
    kept_alive = []
    for _ in range(2):
        kept_alive.append(cache.table)
        _fill(cache)
        if len(kept_alive) < 2:
            cache.begin_request()
    with pytest.raises(TransientError) as refused:
        cache.begin_request()
    assert refused.value.reason == "series_cache_full"
    kept_alive.clear()
    gc.collect()
    cache.begin_request()
    assert cache.size_bytes == 0
