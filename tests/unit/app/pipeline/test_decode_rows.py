"""Rows mean the same however they are encoded and whichever path decodes them."""

import math
import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.pipeline.block import Faults
from ingestor.pipeline.decode_rows import decode_rows
from support.decoding import NOW_NS, check_against_naive_reading, new_decoder
from support.wire import double_field, label_field, long_field, text_field, varint_field

LOOKS_LIKE_A_TAIL = "!abcdefgh)ijklmnop"
SIGNALLING_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0001))[0]

names = st.sampled_from(["a", "b", "naïve", LOOKS_LIKE_A_TAIL, "", "x" * 256, "x" * 257, "n\0l", "é" * 129])
label_values = st.sampled_from(["", "v", LOOKS_LIKE_A_TAIL, "v" * 2_048, "v" * 2_049, "\0"])
times = st.one_of(
    st.sampled_from([0, NOW_NS, 1, -1, 999, (1 << 63) - 1, -(1 << 63), NOW_NS + 600 * 10**9, NOW_NS + 601 * 10**9]),
    st.integers(NOW_NS - 10**15, NOW_NS + 10**11),
    st.integers(-(1 << 63), (1 << 63) - 1),
)
doubles = st.one_of(st.floats(), st.sampled_from([math.nan, -math.nan, SIGNALLING_NAN, math.inf, -0.0]))
longs = st.integers(-(1 << 63), (1 << 63) - 1)
unknown_fields = st.sampled_from(
    [
        varint_field(15, 7),
        text_field(9, LOOKS_LIKE_A_TAIL),
        double_field(7, 1.0),
        varint_field(4, 3),  # the number of a known field, another type
        text_field(5, b"\x21" + bytes(8)),
        b"\x7b\x08\x01\x7c",  # a group
    ]
)
identity_fields = st.tuples(
    st.builds(text_field, st.just(1), names),
    st.builds(text_field, st.just(2), names),
    st.lists(st.builds(label_field, names, label_values), max_size=4).map(b"".join),
)
good_identity = st.sampled_from(
    [
        text_field(1, "s") + text_field(2, metric) + b"".join(labels)
        for metric in ("m", "n", LOOKS_LIKE_A_TAIL)
        for labels in ([], [label_field("k", "v")], [label_field("k", "v"), label_field("a", LOOKS_LIKE_A_TAIL)])
    ]
)
tails = st.tuples(
    st.builds(long_field, st.just(4), times),
    st.one_of(st.builds(double_field, st.just(5), doubles), st.builds(long_field, st.just(6), longs)),
)


@st.composite
def odd_points(draw: st.DrawFn) -> bytes:
    """Draw fields in any order, some twice, some not at all, some unknown."""
    fields = [
        *draw(st.lists(st.one_of(identity_fields, tails).map(b"".join), max_size=3)),
        *draw(st.lists(st.one_of(identity_fields.map(b"".join), unknown_fields), max_size=2)),
        *draw(tails),
    ]
    return b"".join(draw(st.permutations(fields)))


points = st.one_of(
    st.tuples(good_identity, tails.map(b"".join)).map(b"".join),
    st.tuples(identity_fields.map(b"".join), tails.map(b"".join)).map(b"".join),
    good_identity,
    odd_points(),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(points, max_size=6))
@example([b""])
@example([text_field(1, "s") + text_field(2, "m") + label_field("k", LOOKS_LIKE_A_TAIL)])
@example(
    [text_field(1, "s") + text_field(2, "m") + text_field(3, text_field(1, "k") + text_field(2, LOOKS_LIKE_A_TAIL))]
)
def test_rows_in_any_encoding_are_read_as_the_public_messages_read_them(raw_points: list[bytes]) -> None:
    message = b"".join(text_field(3, raw) for raw in raw_points)
    decoder = new_decoder()
    check_against_naive_reading(decoder, message)
    check_against_naive_reading(decoder, message)  # every series is known by now


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(good_identity, unknown_fields, tails), min_size=1, max_size=4))
def test_a_series_that_came_with_unknown_fields_in_columns_does_not_mislead_the_reading_of_rows(
    parts: list[tuple[bytes, bytes, tuple[bytes, bytes]]],
) -> None:
    """The cache then knows series under bytes that are more than an identity."""
    decoder = new_decoder()
    for identity, unknown, tail in parts:
        for extra in (unknown, *tail, b"".join(tail)):
            columns = text_field(1, identity + extra)
            check_against_naive_reading(decoder, text_field(4, columns))
            for point in (identity + extra + b"".join(tail), identity + extra, identity + tail[1] + extra + tail[0]):
                check_against_naive_reading(decoder, text_field(3, point))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(good_identity, tails), min_size=1, max_size=5))
def test_points_decoded_one_by_one_and_as_bytes_are_the_same(
    parts: list[tuple[bytes, tuple[bytes, bytes]]],
) -> None:
    """The order of fields decides the path: the time first is never taken as bytes."""
    decoder = new_decoder()
    fast, _ = decode_rows([identity + tail[0] + tail[1] for identity, tail in parts], decoder.cache, Faults())
    slow, _ = decode_rows([tail[0] + identity + tail[1] for identity, tail in parts], decoder.cache, Faults())
    assert fast.slots.tolist() == slow.slots.tolist()
    assert fast.times_ns.tolist() == slow.times_ns.tolist()
    assert fast.values.tobytes() == slow.values.tobytes()


def test_points_keep_nothing_of_the_message_alive() -> None:
    request = pb.WriteRequest(points=[pb.Point(service_name="s", metric_name="m", double_value=1.0)])
    points_ = new_decoder().decode_write(request.SerializeToString()).points
    for column in (points_.slots, points_.times_us, points_.values):
        base = column
        while base.base is not None:
            base = base.base
        assert base.flags.owndata
