"""A request of a shape seen before means what it means to whoever reads it for the first time."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.pipeline.decode import Decoder
from ingestor.pipeline.shapes import Shape, Shapes
from ingestor.pipeline.validate import Retention
from support.decoding import NOW_NS, check_against_naive_reading, limits_with, new_decoder, valid_points
from support.wire import double_field, long_field, text_field

KEY = bytes(range(16))

names = st.text(st.sampled_from("ab!)é"), min_size=1, max_size=12)
numbers = st.one_of(st.floats(), st.integers(-(1 << 60), 1 << 60))
times = st.one_of(st.sampled_from([0, 1, NOW_NS]), st.integers(NOW_NS - 10**15, NOW_NS + 10**11))


@st.composite
def rows(draw: st.DrawFn) -> pb.WriteRequest:
    """Draw a request of valid rows as the generated classes write it."""
    identities = draw(st.lists(st.tuples(names, names, st.dictionaries(names, names, max_size=2)), min_size=1))
    request = pb.WriteRequest(
        idempotency_key=draw(st.sampled_from([b"", KEY])),
        ack=draw(st.sampled_from([pb.ACK_UNSPECIFIED, pb.ACK_COMMITTED])),
    )
    for service, metric, labels in identities:
        point = request.points.add(service_name=service, metric_name=metric)
        for name, value in labels.items():
            point.labels.add(name=name, value=value)
        _change(point, draw(times), draw(numbers))
    return request


@st.composite
def columns(draw: st.DrawFn) -> pb.WriteRequest:
    """Draw a request of one valid block of columns."""
    series = draw(st.lists(st.tuples(names, names), min_size=1, max_size=5))
    count = draw(st.integers(1, 8))
    block = pb.Columns(
        series=[pb.Series(service_name=service, metric_name=metric) for service, metric in series],
        series_index=draw(st.lists(st.integers(0, len(series) - 1), min_size=count, max_size=count)),
        time_unix_nano=draw(st.lists(times, min_size=count, max_size=count)),
        value=draw(st.lists(st.floats(), min_size=count, max_size=count)),
    )
    return pb.WriteRequest(idempotency_key=draw(st.sampled_from([b"", KEY])), columns=[block])


requests = st.one_of(rows(), columns())


def _change(point: pb.Point, time_ns: int, number: float) -> None:
    point.time_unix_nano = time_ns
    if isinstance(number, int):
        point.int_value = number
    else:
        point.double_value = number


@settings(max_examples=200, deadline=None)
@given(requests, st.randoms(use_true_random=False))
def test_other_times_and_values_in_a_known_shape(request: pb.WriteRequest, random_: random.Random) -> None:
    decoder = new_decoder()
    check_against_naive_reading(decoder, request.SerializeToString())
    for point in request.points:
        change = float if point.WhichOneof("value") == "double_value" else int
        _change(point, NOW_NS - random_.randrange(10**12), change(random_.randrange(-100, 100)))
    for block in request.columns:
        count = len(block.value)
        block.time_unix_nano[:] = [NOW_NS - random_.randrange(10**12) for _ in range(count)]
        block.series_index[:] = [random_.randrange(len(block.series) + 1) for _ in range(count)]
        block.value[:] = [random_.random() for _ in range(count)]
    check_against_naive_reading(decoder, request.SerializeToString())


@settings(max_examples=200, deadline=None)
@given(requests, st.integers(1, 2 * 10**9))
def test_points_that_the_database_would_drop_in_a_request_seen_before_and_in_one_seen_first(
    request: pb.WriteRequest, kept_us: int
) -> None:
    message, retention = request.SerializeToString(), Retention()
    decoder, fresh = new_decoder(limits_with(retention)), new_decoder(limits_with(retention))
    check_against_naive_reading(decoder, message)
    for retention.us in (kept_us, kept_us // 2, None):
        check_against_naive_reading(decoder, message, retention.us)
        check_against_naive_reading(fresh, message, retention.us)


@settings(max_examples=400, deadline=None)
@given(requests, st.data())
def test_a_request_that_differs_in_a_byte_or_in_length_from_a_known_one(
    request: pb.WriteRequest, data: st.DataObject
) -> None:
    message = request.SerializeToString()
    decoder = new_decoder()
    check_against_naive_reading(decoder, message)
    position = data.draw(st.integers(0, len(message) - 1))
    changed = bytes([message[position] ^ data.draw(st.integers(1, 255))])
    way = data.draw(st.sampled_from(["replaced", "inserted", "removed", "cut", "doubled"]))
    other = {
        "replaced": message[:position] + changed + message[position + 1 :],
        "inserted": message[:position] + changed + message[position:],
        "removed": message[:position] + message[position + 1 :],
        "cut": message[:position],
        "doubled": message + message,
    }[way]
    check_against_naive_reading(decoder, other)
    check_against_naive_reading(decoder, message)


def _row(metric: str, value: float, time_ns: int = NOW_NS) -> bytes:
    identity = text_field(1, "s") + text_field(2, metric)
    return text_field(3, identity + long_field(4, time_ns) + double_field(5, value))


def _block(series: Sequence[str], values: Sequence[float]) -> bytes:
    block = pb.Columns(
        series=[pb.Series(service_name="s", metric_name=name) for name in series],
        series_index=[number % len(series) for number in range(len(values))],
        time_unix_nano=[NOW_NS] * len(values),
        value=values,
    )
    return pb.WriteRequest(columns=[block]).SerializeToString()


def _shapes_after(decoder: Decoder, *messages: bytes) -> int:
    for message in messages:
        decoder.decode_write(message)
    return len(decoder.cache.shapes)


def test_requests_that_differ_in_times_and_values_alone_share_one_shape() -> None:
    assert _shapes_after(new_decoder(), _row("m", 1) + _row("n", 2), _row("m", 3) + _row("n", 4, NOW_NS - 5)) == 1
    assert _shapes_after(new_decoder(), _block(["m", "n"], [1, 2]), _block(["m", "n"], [3, 4, 5])) == 1
    assert _shapes_after(new_decoder(), _row("m", 1), _row("n", 1), _block(["m"], [1]), _block(["n", "m"], [1])) == 4


@pytest.mark.parametrize(
    ("known", "other"),
    [
        (_row("m", 1) + _row("n", 2), _row("m", 1) + _row("o", 2)),
        (
            _row("m", 1) + _row("n", 2),
            _row("m", 1) + text_field(3, text_field(1, "s") + text_field(2, "n") + bytes(18)),
        ),
        (_block(["m", "n"], [1, 2]), _block(["m", "o"], [1, 2])),
        (_block(["m", "n"], [1, 2]), _block(["m", "n", "o"], [1, 2, 3])),
        (_block(["m", "n", "o"], [1, 2, 3]), _block(["m", "n"], [1, 2])),
    ],
    ids=["another row", "another layout", "another series", "one series more", "one series less"],
)
def test_what_begins_like_a_known_request_and_goes_on_otherwise_is_read_anew(known: bytes, other: bytes) -> None:
    decoder = new_decoder()
    check_against_naive_reading(decoder, known)
    check_against_naive_reading(decoder, other)
    check_against_naive_reading(decoder, known)


def test_a_known_shape_keeps_nothing_of_the_request_it_was_learnt_from() -> None:
    decoder = new_decoder()
    first = decoder.decode_write(_row("m", 1) + _row("n", 2))
    again = decoder.decode_write(_row("m", 3) + _row("n", 4))
    assert [point[2] for point in valid_points(first)] == [double_field(1, value)[1:] for value in (1.0, 2.0)]
    assert [point[2] for point in valid_points(again)] == [double_field(1, value)[1:] for value in (3.0, 4.0)]


@pytest.mark.parametrize(
    "message",
    [
        _row("", 1) + _row("m", 1),  # one is invalid
        text_field(3, text_field(2, "m") + text_field(1, "s") + double_field(5, 1.0) + long_field(4, NOW_NS)),
        _row("m", 1) + text_field(9, "unknown"),
        _row("m", 1) + _block(["m"], [1]),
        _block(["m"], [1]) * 2,
    ],
    ids=["invalid", "other order", "unknown field", "both", "two blocks"],
)
def test_only_requests_in_the_usual_form_are_remembered(message: bytes) -> None:
    assert _shapes_after(new_decoder(), message, message) == 0


def test_a_new_table_of_series_forgets_all_shapes() -> None:
    decoder = new_decoder(cache_bytes=1)
    message = _row("m", 1)
    assert _shapes_after(decoder, message) == 1
    check_against_naive_reading(decoder, _row("n", 1) + _row("m", 2))
    check_against_naive_reading(decoder, message)


def test_shapes_are_bounded_in_bytes_and_the_oldest_go_first() -> None:
    table = new_decoder().decode_write(_row("m", 1)).points
    shapes = Shapes(max_bytes=2_000)
    for number in range(10):
        shapes.keep(b"%d" % number, Shape(1, b"", table.slots))
        assert shapes.size_bytes <= 2_000
    kept = [number for number in range(10) if shapes.find(b"%d" % number)]
    assert kept == [7, 8, 9]


def test_a_shape_that_takes_more_than_all_may_take_is_not_kept() -> None:
    shapes = Shapes(max_bytes=100)
    shapes.keep(b"key", Shape(1, b"", new_decoder().decode_write(_row("m", 1)).points.slots))
    assert shapes.find(b"key") is None
    assert shapes.size_bytes == 0
