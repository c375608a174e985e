"""The fast encoders write the bytes that the generated classes write."""

import time
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.encode import Batch, Form, Method, SeriesBlock, encode_requests, encode_series
from ingestor.keys import mint_key
from ingestor.load.synthetic import SyntheticSource
from ingestor.points import Ack, Series

KEY = mint_key(1_700_000_000_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=300)
SERIES = st.builds(Series, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple))
TIMES = st.integers(-(2**63), 2**63 - 1).filter(bool)


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[Series], list[tuple[int, int, float]]]:
    series = draw(st.lists(SERIES, min_size=1, max_size=5))
    position = st.integers(0, len(series) - 1)
    return series, draw(st.lists(st.tuples(position, TIMES, st.floats()), min_size=1, max_size=20))


def make_batch(series: list[Series], points: list[tuple[int, int, float]]) -> Batch:
    return Batch(
        SeriesBlock([encode_series(one) for one in series]),
        np.array([index for index, _, _ in points], np.uint32),
        np.array([time_ns for _, time_ns, _ in points], np.int64),
        np.array([value for _, _, value in points], np.float64),
    )


def labels(series: Series) -> list[pb.Label]:
    return [pb.Label(name=name, value=value) for name, value in series.labels]


def write_request(ack: Ack | None) -> pb.WriteRequest:
    return pb.WriteRequest(idempotency_key=KEY.bytes, ack=f"ACK_{ack.name}" if ack else None)


@given(content=contents(), ack=st.sampled_from([None, Ack.BUFFERED, Ack.COMMITTED]))
def test_columns_are_the_bytes_of_a_write_request(
    content: tuple[list[Series], list[tuple[int, int, float]]], ack: Ack | None
) -> None:
    series, points = content
    expected = write_request(ack)
    expected.columns.add(
        series=[pb.Series(service_name=s.service_name, metric_name=s.metric_name, labels=labels(s)) for s in series],
        series_index=[index for index, _, _ in points],
        time_unix_nano=[time_ns for _, time_ns, _ in points],
        value=[value for _, _, value in points],
    )
    (request,) = encode_requests(make_batch(series, points), Form.COLUMNS, ack, lambda: KEY)
    assert request.payload == expected.SerializeToString()
    assert (request.method, request.points, request.metadata) == (Method.WRITE, len(points), ())


@given(content=contents(), ack=st.sampled_from([None, Ack.BUFFERED, Ack.COMMITTED]))
def test_rows_are_the_bytes_of_a_write_request(
    content: tuple[list[Series], list[tuple[int, int, float]]], ack: Ack | None
) -> None:
    series, points = content
    expected = write_request(ack)
    for index, time_ns, value in points:
        one = series[index]
        expected.points.add(
            service_name=one.service_name,
            metric_name=one.metric_name,
            labels=labels(one),
            time_unix_nano=time_ns,
            double_value=value,
        )
    (request,) = encode_requests(make_batch(series, points), Form.ROWS, ack, lambda: KEY)
    assert request.payload == expected.SerializeToString()


def test_single_points_carry_key_and_ack_as_metadata() -> None:
    series = Series("service", "metric", (("host", "a"), ("region", "b")))
    other = Series("service", "other", ())
    keys = [mint_key(), mint_key()]
    minted = iter(keys)
    points = [(0, 1_700_000_000_123_456_789, 1.5), (1, 1_700_000_010_000_000_000, 0.0)]
    requests = list(
        encode_requests(make_batch([series, other], points), Form.SINGLE, Ack.BUFFERED, lambda: next(minted))
    )
    assert [request.method for request in requests] == [Method.LOG_METRIC] * 2
    assert [dict(request.metadata) for request in requests] == [
        {"x-idempotency-key": str(key), "x-ack": "buffered"} for key in keys
    ]
    first = pb.LogMetricsRequest.FromString(requests[0].payload)
    assert (first.service_name, first.metric_name, first.double_value) == ("service", "metric", 1.5)
    assert first.timestamp.ToNanoseconds() == 1_700_000_000_123_456_789
    assert [(label.name, label.value) for label in first.labels] == list(series.labels)
    second = pb.LogMetricsRequest.FromString(requests[1].payload)
    assert (second.metric_name, second.timestamp.seconds) == ("other", 1_700_000_010)
    assert second.HasField("double_value")


@pytest.mark.parametrize("form", [Form.COLUMNS, Form.ROWS])
def test_every_batch_has_a_key_of_its_own(form: Form) -> None:
    batch = make_batch([Series("s", "m", ())], [(0, 1, 1.0)])
    keys = [
        uuid.UUID(bytes=pb.WriteRequest.FromString(request.payload).idempotency_key)
        for _ in range(3)
        for request in encode_requests(batch, form, None, mint_key)
    ]
    assert len(set(keys)) == 3
    assert {key.version for key in keys} == {7}


def test_a_million_points_are_made_and_encoded_in_well_under_a_second() -> None:
    source = SyntheticSource(service_name="s", points=1_000_000, series=10_000, seed=1, now_ns=time.time_ns())
    before_s = time.process_time()
    encoded = sum(
        request.points
        for batch in source.batches(10_000)
        for request in encode_requests(batch, Form.COLUMNS, None, mint_key)
    )
    assert encoded == 1_000_000
    assert time.process_time() - before_s < 0.8
