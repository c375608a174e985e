"""Points that the database would drop are refused, whichever way they come, as soon as a server knows."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database, execute, keep_points
from support.eventually import POLL_S
from support.points import count_samples, fetch_value
from support.scrape import by_label, check_balance, scrape, value_of
from support.service import Client, Service, running_service, violations

HOUR_S = 3_600
REASON = "older_than_retention"


def _age_ns(hours: float) -> int:
    return time.time_ns() - int(hours * HOUR_S * 10**9)


def _rows(*ages_h: float) -> pb.WriteRequest:
    point = {"service_name": "s", "metric_name": "m", "double_value": 1.0}
    return pb.WriteRequest(points=[pb.Point(**point, time_unix_nano=_age_ns(age)) for age in ages_h])  # type: ignore[arg-type]


def _columns(*ages_h: float) -> pb.WriteRequest:
    count = len(ages_h)
    block = pb.Columns(
        series=[pb.Series(service_name="s", metric_name="m")],
        series_index=[0] * count,
        time_unix_nano=[_age_ns(age) for age in ages_h],
        value=[1.0] * count,
    )
    return pb.WriteRequest(columns=[block])


def _single(age_h: float) -> pb.LogMetricsRequest:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m", value=1)
    request.timestamp.FromNanoseconds(_age_ns(age_h))
    return request


async def _write_rows(client: Client, *ages_h: float) -> object:
    return await client.write(_rows(*ages_h))


async def _write_columns(client: Client, *ages_h: float) -> object:
    return await client.write(_columns(*ages_h))


async def _log_metric(client: Client, *ages_h: float) -> object:
    for age in ages_h:
        await client.log_metric(_single(age))
    return None


async def _until_connected(service: Service) -> None:
    """Wait until the server has reached its database, which it asks for the retention first."""
    async with asyncio.timeout(20):
        while not value_of(await scrape(service.http_port), "ingestor_database_up"):
            await asyncio.sleep(POLL_S)


WAYS = [
    pytest.param(_write_rows, "points[0].time_unix_nano", id="rows"),
    pytest.param(_write_columns, "columns[0].time_unix_nano[0]", id="columns"),
    pytest.param(_log_metric, "timestamp", id="single point"),
]


@pytest.mark.parametrize("ack", ["committed", "buffered"])
@pytest.mark.parametrize(("send", "field"), WAYS)
async def test_points_older_than_the_retention_are_refused_and_younger_ones_stored(
    database: Database, send: Callable[..., Awaitable[object]], field: str, ack: str
) -> None:
    await keep_points(database.owner_url, 3 * HOUR_S)
    async with running_service(database.writer_url, ack=ack) as service:
        await _until_connected(service)
        await send(service.client, 2.9)  # of today's chunk, as are those that are refused
        for _ in range(2):  # unlike anything before, and of a shape that is known
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(service.client, 3.1)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert violations(refused.value) == [(field, REASON)]
        samples = await scrape(service.http_port)
    assert by_label(samples, "ingestor_points_rejected_total", "reason") == {REASON: 2}
    check_balance(samples)
    assert await count_samples(database.admin_url) == 1


@pytest.mark.parametrize("make", [_rows, _columns])
async def test_the_old_points_of_a_request_are_counted_told_and_kept_apart(
    database: Database, make: Callable[..., pb.WriteRequest]
) -> None:
    await keep_points(database.owner_url, 3 * HOUR_S)
    async with running_service(database.writer_url) as service:
        await _until_connected(service)
        for _ in range(2):
            reply = await service.client.write(make(24, 0, 4, 1))
            assert (reply.accepted_points, reply.rejected_points) == (2, 2)
            assert [(one.point_index, one.reason) for one in reply.rejections] == [(0, REASON), (2, REASON)]
    assert await count_samples(database.admin_url) == 4
    kept = "SELECT count(*) FROM analytics.rejects WHERE reason = $1"
    assert await fetch_value(database.admin_url, kept, REASON) == 4


async def test_a_schema_of_the_last_release_does_not_tell_and_takes_what_it_took(database: Database) -> None:
    await keep_points(database.owner_url, 3 * HOUR_S)
    await execute(database.owner_url, "REVOKE ALL ON analytics.retention FROM analytics_writer")
    async with running_service(database.writer_url) as service:
        await _until_connected(service)
        assert (await service.client.write(_rows(24))).accepted_points == 1
    await execute(database.owner_url, "DROP TABLE analytics.retention")
    async with running_service(database.writer_url) as service:
        await _until_connected(service)
        assert (await service.client.write(_rows(24))).accepted_points == 1
