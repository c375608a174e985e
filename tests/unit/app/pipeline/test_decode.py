"""What a request decodes to: its digest, its limits, and what single points mean."""

import json
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.errors import InvalidRequestError
from ingestor.pipeline.assemble import MAX_REJECTS
from ingestor.pipeline.validate import MAX_COLUMNS, MAX_POINTS, MAX_ROWS, MAX_SERIES, Retention
from support.decoding import LIMITS, NOW_NS, NOW_US, limits_with, new_decoder, valid_points
from support.wire import double_field, label_field, long_field, text_field, varint_field

NAN = struct.pack("<d", float("nan"))
HOUR_US = 3_600_000_000

Given = tuple[str, tuple[tuple[str, str], ...], int, float]

labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y"])).map(lambda pairs: tuple(pairs.items()))
times = st.integers(NOW_NS - 10**12, NOW_NS)
points = st.lists(st.tuples(st.sampled_from("mn"), labels, times, st.floats()), min_size=1, max_size=5)


def _canonical(given_points: Sequence[Given]) -> bytes:
    request = pb.WriteRequest()
    for metric, pairs, time_ns, value in given_points:
        point = request.points.add(service_name="s", metric_name=metric, time_unix_nano=time_ns, double_value=value)
        for name, text in sorted(pairs):
            point.labels.add(name=name, value=text)
    return request.SerializeToString()


def _digest(message: bytes) -> int:
    return new_decoder().decode_write(message).digest


@settings(max_examples=150, deadline=None)
@given(points, st.data())
def test_the_digest_is_that_of_the_points_however_they_are_encoded(
    given_points: list[Given], data: st.DataObject
) -> None:
    encoded = []
    for metric, pairs, time_ns, value in given_points:
        fields = [
            text_field(1, "other") + text_field(1, "s"),
            text_field(2, metric),
            b"".join(label_field(*pair) for pair in data.draw(st.permutations(pairs))),
            long_field(4, 5) + long_field(4, time_ns),
            long_field(6, 1) + double_field(5, value),
            varint_field(20, 1),
        ]
        encoded.append(text_field(3, b"".join(data.draw(st.permutations(fields)))))
    assert _digest(b"".join(encoded)) == _digest(_canonical(given_points))


@settings(max_examples=100, deadline=None)
@given(points)
def test_rows_and_columns_of_the_same_points_have_the_same_digest(given_points: list[Given]) -> None:
    columns = pb.Columns(
        series_index=range(len(given_points)),
        time_unix_nano=[time_ns for _, _, time_ns, _ in given_points],
        value=[value for *_, value in given_points],
    )
    for metric, pairs, _, _ in given_points:
        series = columns.series.add(service_name="s", metric_name=metric)
        for name, text in pairs:
            series.labels.add(name=name, value=text)
    request = pb.WriteRequest(columns=[columns])
    assert _digest(request.SerializeToString()) == _digest(_canonical(given_points))


@settings(max_examples=150, deadline=None)
@given(points, points)
def test_the_digest_differs_where_any_point_differs(one: list[Given], other: list[Given]) -> None:
    def comparable(given_points: list[Given]) -> list[object]:
        return [
            (metric, sorted(pairs), time_ns, struct.pack("<d", value)) for metric, pairs, time_ns, value in given_points
        ]

    assert (_digest(_canonical(one)) == _digest(_canonical(other))) == (comparable(one) == comparable(other))


@settings(max_examples=150, deadline=None)
@given(points, st.data())
def test_the_digest_differs_by_a_single_value_time_series_or_the_order(
    given_points: list[Given], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(given_points) - 1))
    metric, pairs, time_ns, value = given_points[place]
    changed: list[list[Given]] = [
        [*given_points[:place], point, *given_points[place + 1 :]]
        for point in (
            (metric + "x", pairs, time_ns, value),
            (metric, (*pairs, ("d", "")), time_ns, value),
            (metric, pairs, time_ns + 1, value),
            (metric, pairs, 0, value),
            (metric, pairs, time_ns, -value if value == value else 1.0),
        )
    ]
    changed.append([*given_points, given_points[place]])
    digests = [_digest(_canonical(each)) for each in [given_points, *changed]]
    assert len(set(digests)) == len(digests)


def test_a_retry_has_the_digest_of_the_first_attempt_though_the_time_of_receipt_moved_on() -> None:
    message = _canonical([("m", (), 0, 1.0)])
    decoder = new_decoder()
    first = decoder.decode_write(message)
    decoder._clock_ns = lambda: NOW_NS + 10**9
    second = decoder.decode_write(message)
    assert second.points.first_us == first.points.first_us + 10**6
    assert second.digest == first.digest


def test_key_and_ack_come_as_they_were_sent() -> None:
    decoded = new_decoder().decode_write(
        pb.WriteRequest(idempotency_key=b"key", ack=pb.ACK_BUFFERED).SerializeToString()
    )
    assert (decoded.key, decoded.ack, decoded.received) == (b"key", 1, 0)


def test_all_invalid_points_are_counted_and_the_first_of_them_told() -> None:
    invalid = pb.Point(service_name="s", double_value=1.0)
    good = pb.Point(service_name="s", metric_name="m", double_value=1.0)
    request = pb.WriteRequest(points=[*[invalid] * 150, good])
    decoded = new_decoder().decode_write(request.SerializeToString())
    assert (decoded.rejected, len(decoded.rejects), len(decoded.points)) == ({"name_empty": 150}, MAX_REJECTS, 1)
    assert decoded.received == 151


@pytest.mark.parametrize("time_ns", [1, NOW_NS + 10**15])
def test_a_point_rejected_for_its_time_is_kept_with_its_series(time_ns: int) -> None:
    good = pb.Point(service_name="s", metric_name="m", double_value=1.0)
    bad = pb.Point(service_name="s", metric_name="m", time_unix_nano=time_ns, double_value=1.0)
    (reject,) = new_decoder().decode_write(pb.WriteRequest(points=[good, bad]).SerializeToString()).rejects
    kept = json.loads(reject.point)
    assert kept["time_unix_nano"] == str(time_ns)
    assert (kept.get("service_name"), kept.get("metric_name")) == ("s", "m")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (text_field(3, b"") * (MAX_ROWS + 1), "points"),
        (text_field(4, b"") * (MAX_COLUMNS + 1), "columns"),
        (text_field(4, text_field(1, b"") * (MAX_SERIES + 1)), "columns.series"),
    ],
    ids=["rows", "blocks of columns", "series"],
)
def test_more_than_one_request_may_hold_is_refused_before_it_is_decoded(message: bytes, path: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        new_decoder().decode_write(message)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == (path, "request_too_large")


def test_more_points_in_columns_than_one_request_may_hold_are_refused() -> None:
    count = MAX_POINTS + 1
    columns = pb.Columns(
        series=[pb.Series(service_name="s", metric_name="m")],
        series_index=[0] * count,
        time_unix_nano=[0] * count,
        value=[1.0] * count,
    )
    with pytest.raises(InvalidRequestError) as refused:
        new_decoder().decode_write(pb.WriteRequest(columns=[columns]).SerializeToString())
    assert refused.value.reason == "request_too_large"


def test_rejects_beyond_the_first_are_counted_and_hold_little_memory() -> None:
    bad = [pb.Point(service_name="", metric_name=f"m{n}", double_value=1.0) for n in range(2_000)]
    good = pb.Point(service_name="s", metric_name="m", double_value=1.0)
    decoded = new_decoder().decode_write(pb.WriteRequest(points=[*bad, good]).SerializeToString())
    assert decoded.rejected == {"name_empty": 2_000}
    assert len(decoded.rejects) == MAX_REJECTS
    assert max(len(reject.point) for reject in decoded.rejects) < 2_000


@pytest.mark.parametrize(
    ("time_us", "reason"),
    [
        (NOW_US - LIMITS.behind_us, None),
        (NOW_US - LIMITS.behind_us - 1, "time_too_far_behind"),
        (NOW_US + LIMITS.ahead_us, None),
        (NOW_US + LIMITS.ahead_us + 1, "time_too_far_ahead"),
    ],
)
def test_the_window_of_times_includes_its_ends(time_us: int, reason: str | None) -> None:
    late = pb.Point(service_name="s", metric_name="m", time_unix_nano=time_us * 1_000, double_value=1.0)
    now = pb.Point(service_name="s", metric_name="m", double_value=1.0)
    decoded = new_decoder().decode_write(pb.WriteRequest(points=[late, now]).SerializeToString())
    assert [*decoded.rejected] == ([reason] if reason else [])
    assert decoded.points.times_us[-1] == NOW_US
    assert valid_points(decoded)[-1][0] == ("s", "m", ())


@pytest.mark.parametrize(
    ("kept_us", "age_us", "reason"),
    [
        (HOUR_US, HOUR_US, None),
        (HOUR_US, HOUR_US + 1, "older_than_retention"),
        (LIMITS.behind_us, LIMITS.behind_us + 1, "time_too_far_behind"),
        (LIMITS.behind_us * 2, LIMITS.behind_us + 1, "time_too_far_behind"),
        (None, HOUR_US + 1, None),
    ],
)
def test_the_tighter_of_limit_and_retention_holds_for_many_points_and_for_one(
    kept_us: int | None, age_us: int, reason: str | None
) -> None:
    retention = Retention()
    decoder = new_decoder(limits_with(retention))
    retention.us = kept_us
    time_ns = (NOW_US - age_us) * 1_000
    point = pb.Point(service_name="s", metric_name="m", time_unix_nano=time_ns, double_value=1.0)
    single = pb.LogMetricsRequest(service_name="s", metric_name="m", double_value=1.0)
    single.timestamp.FromNanoseconds(time_ns)
    series = pb.Series(service_name="s", metric_name="m")
    block = pb.Columns(series=[series], series_index=[0], time_unix_nano=[time_ns], value=[1.0])
    for decode, message in (
        (decoder.decode_write, pb.WriteRequest(points=[point])),
        (decoder.decode_write, pb.WriteRequest(columns=[block])),
        (decoder.decode_log_metric, single),
        (decoder.read_log_metric, single),
    ):
        for _ in ("seen first", "seen before"):
            assert _reason_of(decode, message.SerializeToString()) == reason


def _reason_of(decode: Callable[[bytes], object], message: bytes) -> str | None:
    try:
        decode(message)
    except InvalidRequestError as error:
        return error.reason
    return None
