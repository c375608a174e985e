"""Single points with the acknowledgement ``buffered``: held together, accounted for one by one, stored once."""

import asyncio

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key
from support.database import Database
from support.eventually import HANG_S
from support.points import fetch_value
from support.scrape import check_balance, scrape, value_of
from support.service import Client, running_service

CALLS = 600


def _request(number: int) -> pb.LogMetricsRequest:
    return pb.LogMetricsRequest(service_name="billing", metric_name=f"m{number % 3}", value=number)


async def _call(client: Client, numbers: range) -> None:
    await asyncio.gather(*(client.log_metric(_request(number)) for number in numbers))


async def test_each_point_is_counted_at_every_scrape_and_all_are_stored_when_the_server_stops(
    database: Database,
) -> None:
    async with running_service(database.writer_url, ack="buffered") as service:
        for first in range(0, CALLS, 20):
            await _call(service.client, range(first, first + 20))
            samples = await scrape(service.http_port)
            check_balance(samples)
            assert value_of(samples, "ingestor_points_received_total") == first + 20
    stored = await fetch_value(database.reader_url, "SELECT ARRAY[count(*), sum(value)] FROM analytics.metrics")
    assert stored == [CALLS, sum(range(CALLS))]


async def test_points_of_a_new_series_and_calls_with_a_key_go_among_the_others(database: Database) -> None:
    async with running_service(database.writer_url, ack="buffered") as service:
        client, key = service.client, str(mint_key())
        await _call(client, range(3))
        await _until_committed(service.http_port, 3)
        await asyncio.gather(
            _call(client, range(3, 60)),
            client.log_metric(pb.LogMetricsRequest(service_name="billing", metric_name="new", value=60)),
            *(client.log_metric(_request(61), metadata=[("x-idempotency-key", key)]) for _ in range(2)),
        )
        await _until_committed(service.http_port, 62)
        samples = await scrape(service.http_port)
        check_balance(samples)
        assert value_of(samples, "ingestor_points_total", outcome="duplicate") == 1
    stored = await fetch_value(database.reader_url, "SELECT ARRAY[count(*), sum(value)] FROM analytics.metrics")
    assert stored == [62, sum(range(62))]


async def _until_committed(http_port: int, points: int) -> None:
    async with asyncio.timeout(HANG_S):
        while value_of(await scrape(http_port), "ingestor_points_total", outcome="committed") != points:
            await asyncio.sleep(0.02)
