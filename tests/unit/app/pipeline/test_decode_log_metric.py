"""The single point of the original interface."""

import math
from typing import Any

import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.errors import InvalidRequestError
from support.decoding import NOW_NS, NOW_US, new_decoder, valid_points


def _value(request: pb.LogMetricsRequest) -> float:
    return float(new_decoder().decode_log_metric(request.SerializeToString()).points.values[0])


def test_an_integer_is_stored_as_a_double() -> None:
    assert _value(pb.LogMetricsRequest(service_name="s", metric_name="m", value=-(2**53))) == -(2.0**53)


def test_a_value_left_out_is_zero_as_the_original_interface_has_it() -> None:
    assert _value(pb.LogMetricsRequest(service_name="s", metric_name="m")) == 0.0


@pytest.mark.parametrize("value", [0.0, 0.5, math.inf, -math.inf])
def test_a_double_wins_over_the_integer(value: float) -> None:
    assert _value(pb.LogMetricsRequest(service_name="s", metric_name="m", value=7, double_value=value)) == value


def test_not_a_number_is_stored() -> None:
    assert math.isnan(_value(pb.LogMetricsRequest(service_name="s", metric_name="m", double_value=math.nan)))


def test_labels_are_part_of_the_series() -> None:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m")
    request.labels.add(name="b", value="2")
    request.labels.add(name="a", value="1")
    decoded = new_decoder().decode_log_metric(request.SerializeToString())
    assert valid_points(decoded)[0][0] == ("s", "m", (("a", "1"), ("b", "2")))


@pytest.mark.parametrize("set_timestamp", [False, True])
def test_a_time_left_out_or_zero_is_the_time_of_receipt(set_timestamp: bool) -> None:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m")
    if set_timestamp:
        request.timestamp.SetInParent()
    assert new_decoder().decode_log_metric(request.SerializeToString()).points.times_us.tolist() == [NOW_US]


def test_a_time_is_truncated_to_microseconds() -> None:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m")
    request.timestamp.FromNanoseconds(NOW_NS // 1_000 * 1_000 - 1)
    assert new_decoder().decode_log_metric(request.SerializeToString()).points.times_us.tolist() == [NOW_US - 1]


@pytest.mark.parametrize(
    ("seconds", "nanos", "reason"),
    [
        (1, 0, "time_too_far_behind"),
        (-(1 << 63), -(1 << 31), "time_too_far_behind"),
        (NOW_NS // 10**9 + 700, 0, "time_too_far_ahead"),
        ((1 << 63) - 1, (1 << 31) - 1, "time_too_far_ahead"),
    ],
)
def test_a_time_outside_the_window_is_refused_at_its_field(seconds: int, nanos: int, reason: str) -> None:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m")
    request.timestamp.seconds, request.timestamp.nanos = seconds, nanos
    with pytest.raises(InvalidRequestError) as refused:
        new_decoder().decode_log_metric(request.SerializeToString())
    assert [(v.field, v.reason) for v in refused.value.violations] == [("timestamp", reason)]
    assert refused.value.rejected == {reason: 1}


@pytest.mark.parametrize(
    ("field", "request_"), [("service_name", {"metric_name": "m"}), ("metric_name", {"service_name": "s"})]
)
def test_a_missing_name_is_refused_at_its_field(field: str, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        new_decoder().decode_log_metric(pb.LogMetricsRequest(**request_).SerializeToString())
    assert [(v.field, v.reason) for v in refused.value.violations] == [(field, "name_empty")]


def test_the_same_point_has_the_same_digest_in_both_methods() -> None:
    single = pb.LogMetricsRequest(service_name="s", metric_name="m", value=3)
    one_of_many = pb.WriteRequest(points=[pb.Point(service_name="s", metric_name="m", int_value=3)])
    decoder = new_decoder()
    first = decoder.decode_log_metric(single.SerializeToString())
    assert first.digest == decoder.decode_write(one_of_many.SerializeToString()).digest
