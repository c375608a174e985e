"""What a request at fault is answered: the status, the field, the reason; and nothing of it is stored."""

import asyncio
import json
import time
from collections.abc import Awaitable

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.points import count_samples, fetch_value
from support.scrape import by_label, check_balance, scrape, value_of
from support.service import error_reason, running_service, violations
from support.wire import double_field, text_field

DAY_NS = 86_400 * 10**9


def _point(**changes: object) -> pb.WriteRequest:
    good: dict[str, object] = {"service_name": "s", "metric_name": "m", "double_value": 1.0}
    return pb.WriteRequest(points=[pb.Point(**(good | changes))])  # type: ignore[arg-type]


def _columns(**changes: object) -> pb.WriteRequest:
    good: dict[str, object] = {
        "series": [pb.Series(service_name="s", metric_name="m")],
        "series_index": [0],
        "time_unix_nano": [0],
        "value": [1.0],
    }
    return pb.WriteRequest(columns=[pb.Columns(**(good | changes))])  # type: ignore[arg-type]


def _labels(count: int, size: int = 1) -> list[pb.Label]:
    return [pb.Label(name=f"n{n}", value="v" * size) for n in range(count)]


INVALID_POINTS = [
    ("empty service", _point(service_name=""), "points[0].service_name", "name_empty"),
    ("empty metric", _point(metric_name=""), "points[0].metric_name", "name_empty"),
    ("empty label name", _point(labels=[pb.Label(value="v")]), "points[0].labels.name", "name_empty"),
    (
        "empty name in columns",
        _columns(series=[pb.Series(service_name="s")]),
        "columns[0].series[0].metric_name",
        "name_empty",
    ),
    ("long name", _point(metric_name="x" * 257), "points[0].metric_name", "name_too_long"),
    ("name long in bytes", _point(metric_name="é" * 129), "points[0].metric_name", "name_too_long"),
    (
        "no value",
        pb.WriteRequest(points=[pb.Point(service_name="s", metric_name="m")]),
        "points[0].value",
        "value_missing",
    ),
    ("ahead", _point(time_unix_nano=time.time_ns() + DAY_NS), "points[0].time_unix_nano", "time_too_far_ahead"),
    ("behind", _point(time_unix_nano=time.time_ns() - 32 * DAY_NS), "points[0].time_unix_nano", "time_too_far_behind"),
    ("behind in columns", _columns(time_unix_nano=[1]), "columns[0].time_unix_nano[0]", "time_too_far_behind"),
    ("index out of range", _columns(series_index=[1]), "columns[0].series_index[0]", "series_index_out_of_range"),
    ("many labels", _point(labels=_labels(65)), "points[0].labels", "labels_too_many"),
    ("large labels", _point(labels=_labels(9, 2_000)), "points[0].labels", "labels_too_large"),
    ("long label value", _point(labels=_labels(1, 2_049)), "points[0].labels.value", "label_value_too_long"),
    ("repeated label", _point(labels=_labels(1) * 2), "points[0].labels.name", "label_repeated"),
    ("NUL in a name", _point(metric_name="a\0b"), "points[0].metric_name", "nul_character"),
    ("NUL in a label", _point(labels=[pb.Label(name="n", value="\0")]), "points[0].labels.value", "nul_character"),
]
BAD_TEXT = text_field(1, b"\xff") + text_field(2, "m")
MALFORMED = [
    ("unequal lengths", _columns(value=[1.0, 2.0]), "columns[0]", "lengths_differ"),
    ("bad UTF-8", text_field(3, BAD_TEXT + double_field(5, 1.0)), "points[0]", "malformed"),
    ("bad UTF-8 in columns", text_field(4, text_field(1, BAD_TEXT)), "columns[0].series[0]", "malformed"),
    ("half an entry", text_field(4, text_field(2, b"abc")), "columns[0].series_index", "malformed"),
    ("not a request", b"\xff" * 10, "", "malformed"),
]
CASES = [pytest.param(*case[1:], case in INVALID_POINTS, id=case[0]) for case in [*INVALID_POINTS, *MALFORMED]]


async def _refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


@pytest.mark.parametrize(("request_", "field", "reason", "is_point"), CASES)
async def test_a_request_without_a_valid_point_is_refused_at_its_field_and_nothing_is_kept(
    database: Database, request_: pb.WriteRequest | bytes, field: str, reason: str, is_point: bool
) -> None:
    async with running_service(database.writer_url) as service:
        error = await _refused(service.client.write(request_))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violations(error) == [(field, reason)]
        assert error_reason(error) == reason.upper()
        assert (await service.client.write(_point())).accepted_points == 1
        samples = await scrape(service.http_port)
    assert by_label(samples, "ingestor_points_rejected_total", "reason") == ({reason: 1} if is_point else {})
    labels = {"method": "Write", "code": "INVALID_ARGUMENT", "reason": reason}
    assert value_of(samples, "ingestor_requests_total", **labels) == 1
    check_balance(samples)
    assert await count_samples(database.admin_url) == 1
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == 0
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.series") == 1


async def test_a_single_point_is_refused_for_the_same_reasons(database: Database) -> None:
    cases: list[tuple[dict[str, object], tuple[str, str]]] = [
        ({"service_name": ""}, ("service_name", "name_empty")),
        ({"metric_name": "x" * 257}, ("metric_name", "name_too_long")),
        ({"labels": _labels(65)}, ("labels", "labels_too_many")),
        ({"labels": _labels(9, 2_000)}, ("labels", "labels_too_large")),
        ({"labels": _labels(1) * 2}, ("labels.name", "label_repeated")),
        ({"service_name": "\0"}, ("service_name", "nul_character")),
    ]
    async with running_service(database.writer_url) as service:
        for changes, violation in cases:
            fields: dict[str, object] = {"service_name": "s", "metric_name": "m", "value": 1} | changes
            error = await _refused(service.client.log_metric(pb.LogMetricsRequest(**fields)))  # type: ignore[arg-type]
            assert (error.code(), violations(error)) == (grpc.StatusCode.INVALID_ARGUMENT, [violation])
        error = await _refused(service.client.log_metric(BAD_TEXT))
        assert (error.code(), violations(error)) == (grpc.StatusCode.INVALID_ARGUMENT, [("", "malformed")])
        check_balance(await scrape(service.http_port))
    assert await count_samples(database.admin_url) == 0


async def test_a_message_over_the_limit_is_refused_by_grpc_itself(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        error = await _refused(service.client.write(text_field(9, bytes(5 * 1024 * 1024))))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await service.client.write(_point())).accepted_points == 1


@pytest.mark.parametrize("letter", ["漢", "\x01"], ids=["wide", "escaped"])
async def test_a_refusal_with_many_long_violations_reaches_its_caller_as_it_is(database: Database, letter: str) -> None:
    """Statuses travel in headers; clients refuse some of those over 8 KiB, all over 16 KiB."""
    name = letter * (256 // len(letter.encode()))
    point = pb.Point(service_name="s", metric_name="m", labels=[pb.Label(name=name)] * 2, double_value=1.0)
    async with running_service(database.writer_url) as service:
        calls = (_refused(service.client.write(pb.WriteRequest(points=[point] * 100))) for _ in range(50))
        errors = await asyncio.gather(*calls)
    assert {error.code() for error in errors} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert {reason for error in errors for _, reason in violations(error)} == {"label_repeated"}


async def test_the_valid_points_of_a_partly_bad_request_are_stored_and_the_others_counted_and_kept(
    database: Database,
) -> None:
    good = _point().points[0]
    nameless = _point(metric_name="").points[0]
    late = _point(time_unix_nano=1).points[0]
    series = [pb.Series(service_name="s", metric_name="m"), pb.Series(service_name="s", metric_name="\0")]
    columns = pb.Columns(series=series, series_index=[0, 1, 7], time_unix_nano=[0, 0, 0], value=[1, 2, 3])
    request = pb.WriteRequest(points=[good, nameless, late, good, nameless], columns=[columns])
    counts = {"name_empty": 2, "time_too_far_behind": 1, "nul_character": 1, "series_index_out_of_range": 1}
    async with running_service(database.writer_url, pod_name="pod-1") as service:
        reply = await service.client.write(request)
        samples = await scrape(service.http_port)
    assert (reply.accepted_points, reply.rejected_points, reply.ack) == (3, 5, pb.ACK_COMMITTED)
    assert [(r.point_index, r.reason, r.field) for r in reply.rejections] == [
        (1, "name_empty", "points[1].metric_name"),
        (2, "time_too_far_behind", "points[2].time_unix_nano"),
        (4, "name_empty", "points[4].metric_name"),
        (6, "nul_character", "columns[0].series[1].metric_name"),
        (7, "series_index_out_of_range", "columns[0].series_index[2]"),
    ]
    assert by_label(samples, "ingestor_points_rejected_total", "reason") == counts
    assert by_label(samples, "ingestor_points_total", "outcome") == {"committed": 3, "rejected": 5}
    check_balance(samples)
    assert await count_samples(database.admin_url) == 3
    kept = "SELECT json_object_agg(reason, count) FROM (SELECT reason, count(*) FROM analytics.rejects GROUP BY 1) AS x"
    assert pytest.approx(counts) == _json(await fetch_value(database.admin_url, kept))
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects WHERE pod = 'pod-1'") == 5


async def test_all_rejected_points_are_counted_though_only_the_first_hundred_are_told(database: Database) -> None:
    request = pb.WriteRequest(points=[*[_point(metric_name="").points[0]] * 250, _point().points[0]])
    async with running_service(database.writer_url) as service:
        reply = await service.client.write(request)
        samples = await scrape(service.http_port)
    assert (reply.accepted_points, reply.rejected_points, len(reply.rejections)) == (1, 250, 100)
    assert by_label(samples, "ingestor_points_rejected_total", "reason") == {"name_empty": 250}
    check_balance(samples)


def _json(text: object) -> dict[str, int]:
    return dict(json.loads(str(text)))
