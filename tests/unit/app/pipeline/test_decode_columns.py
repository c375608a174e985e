"""Columns mean the same packed, not packed, in pieces, and mixed."""

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from support.decoding import NOW_NS, check_against_naive_reading, new_decoder
from support.wire import double_field, index_field, label_field, long_field, text_field, varint_field

names = st.sampled_from(["a", "b", "", "n\0l"])
series = st.one_of(
    st.just(text_field(1, "s") + text_field(2, "m")),
    st.tuples(
        st.builds(text_field, st.just(1), names),
        st.builds(text_field, st.just(2), names),
        st.lists(st.builds(label_field, names, names), max_size=2).map(b"".join),
        st.sampled_from([b"", b"", varint_field(9, 1)]),
    ).map(b"".join),
    st.just(text_field(2, "m") + text_field(1, "s")),
)
times = st.one_of(st.sampled_from([0, NOW_NS, 1, -1]), st.integers(NOW_NS - 10**16, NOW_NS + 10**12))


@st.composite
def columns(draw: st.DrawFn) -> bytes:
    """Draw columns with each entry in a packed piece or by itself, the fields in any order."""
    count = draw(st.integers(0, 6))
    all_series = draw(st.lists(series, max_size=3))
    indexes = [draw(st.sampled_from([0, 0, 1, len(all_series), (1 << 32) - 1])) for _ in range(count)]
    lengths = draw(st.sampled_from([(count, count), (count, count), (count, count), (count + 1, count), (0, count)]))
    streams = [
        [text_field(1, one) for one in all_series],
        _pieces(draw, 2, [index_field(2, one)[1:] for one in indexes], index_field(2, 0)[:1]),
        _pieces(draw, 3, [long_field(3, draw(times))[1:] for _ in range(lengths[0])], long_field(3, 0)[:1]),
        _pieces(draw, 4, [double_field(4, draw(st.floats()))[1:] for _ in range(lengths[1])], double_field(4, 0)[:1]),
        [varint_field(12, 1)] * draw(st.sampled_from([0, 0, 1])),
    ]
    order = draw(st.permutations([number for number, stream in enumerate(streams) for _ in stream]))
    return b"".join(streams[number].pop(0) for number in order)


def _pieces(draw: st.DrawFn, number: int, entries: Sequence[bytes], tag: bytes) -> list[bytes]:
    """Encode entries in order: some alone, some in packed pieces, which may be empty."""
    way = draw(st.sampled_from(["packed", "single", "mixed"]))
    if way == "packed":
        return [text_field(number, b"".join(entries))]
    if way == "single":
        return [tag + entry for entry in entries]
    encoded, first = [], 0
    while first < len(entries):
        end = draw(st.integers(first, len(entries)))
        encoded.append(text_field(number, b"".join(entries[first:end])))
        if end < len(entries):
            encoded.append(tag + entries[end])
        first = end + 1
    return encoded


@settings(max_examples=250, deadline=None)
@given(st.lists(columns(), max_size=3))
@example([b""])
@example([text_field(4, b"1234567")])
@example([text_field(1, b"\x0a\xff")])
@example([text_field(1, text_field(1, b"\xff"))])
def test_columns_in_any_encoding_are_read_as_the_public_messages_read_them(all_columns: list[bytes]) -> None:
    message = b"".join(text_field(4, one) for one in all_columns)
    decoder = new_decoder()
    check_against_naive_reading(decoder, message)
    check_against_naive_reading(decoder, message)


@settings(max_examples=50, deadline=None)
@given(st.lists(columns(), min_size=1, max_size=2), st.integers(0, 3))
def test_rows_count_before_columns_in_the_positions_of_rejected_points(all_columns: list[bytes], rows: int) -> None:
    point = text_field(1, "s") + text_field(2, "m") + long_field(4, 0) + double_field(5, 1.0)
    invalid = text_field(1, "s") + long_field(4, 0) + double_field(5, 1.0)
    fields = [text_field(4, one) for one in all_columns] + [text_field(3, point), *[text_field(3, invalid)] * rows]
    check_against_naive_reading(new_decoder(), b"".join(fields))


def test_rejected_points_of_columns_are_named_by_the_series_or_the_entry_at_fault() -> None:
    one = pb.Columns(
        series=[pb.Series(service_name="s", metric_name="m"), pb.Series(service_name="s")],
        series_index=[0, 1, 2, 0],
        time_unix_nano=[0, 0, 0, 1],
        value=[1, 2, 3, 4],
    )
    decoded = new_decoder().decode_write(pb.WriteRequest(columns=[one, one]).SerializeToString())
    assert [(reject.index, reject.reason, reject.field) for reject in decoded.rejects] == [
        (1, "name_empty", "columns[0].series[1].metric_name"),
        (2, "series_index_out_of_range", "columns[0].series_index[2]"),
        (3, "time_too_far_behind", "columns[0].time_unix_nano[3]"),
        (5, "name_empty", "columns[1].series[1].metric_name"),
        (6, "series_index_out_of_range", "columns[1].series_index[2]"),
        (7, "time_too_far_behind", "columns[1].time_unix_nano[3]"),
    ]


def test_a_malformed_series_is_told_before_columns_that_differ_in_length() -> None:
    columns_ = text_field(1, b"\x0a\xff") + text_field(2, bytes(4))
    assert check_against_naive_reading(new_decoder(), text_field(4, columns_)).refusal == "malformed"


def test_an_entry_that_is_cut_in_two_packed_pieces_is_malformed() -> None:
    halves = text_field(2, bytes(3)) + text_field(2, bytes(1))
    columns_ = text_field(1, text_field(1, "s") + text_field(2, "m")) + halves
    check_against_naive_reading(
        new_decoder(), text_field(4, columns_ + text_field(3, bytes(8)) + text_field(4, bytes(8)))
    )
