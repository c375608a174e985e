"""Nobody waits for another's bad request, even on a single connection, and a stop is not held up by it."""

import asyncio
from pathlib import Path

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.obstacles import allow, refuse
from support.points import count_samples, fetch_value, rows
from support.scrape import by_label, check_balance, points_held, scrape, until_nothing_is_held
from support.service import Client, client_of, running_service, service_process

BAD = 4


def _bad(number: int) -> pb.WriteRequest:
    """Return a request of which one point is bad, and of a series that is, and another one is good."""
    return pb.WriteRequest(
        ack=pb.ACK_BUFFERED,
        points=[
            pb.Point(service_name="s", metric_name=f"bad{number}", double_value=-1.0),
            pb.Point(service_name="s", metric_name="good", double_value=1.0),
        ],
    )


async def _write_good(client: Client) -> int:
    """Write points that nothing is wrong with; return how often the call was refused before."""
    refused = 0
    while True:
        try:
            reply = await client.write(rows([1.0, 2.0], name="good"), timeout_s=60)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            refused += 1
            await asyncio.sleep(0.05)
        else:
            assert reply.accepted_points == 2
            return refused


@pytest.mark.parametrize(
    ("table", "condition", "state"),
    [
        ("samples", "NEW.value < 0", "P0001"),
        ("samples", "NEW.value < 0", "42501"),
        ("samples", "NEW.value < 0", "40001"),
        ("samples", "NEW.value < 0", "53100"),
        ("samples", "NEW.value < 0", "08006"),
        ("samples", "NEW.value < 0", "25006"),
        ("samples", "NEW.value < 0", "57014"),
        ("series", "NEW.metric_name LIKE 'bad%'", "42501"),
        ("series", "NEW.metric_name LIKE 'bad%'", "XX001"),
        ("series", "NEW.metric_name LIKE 'bad%'", "57014"),
    ],
)
async def test_requests_that_the_database_refuses_do_not_stop_the_others(
    database: Database, tmp_path: Path, table: str, condition: str, state: str
) -> None:
    await refuse(database, table, condition, state=state)
    async with (
        service_process(database.writer_url, tmp_path / "log", connections=1) as process,
        client_of(process.grpc_port) as client,
    ):
        for number in range(BAD):
            await client.write(_bad(number))
        refused = [await _write_good(client) for _ in range(20)]
        while await points_held(process.http_port):
            refused.append(await _write_good(client))
            await asyncio.sleep(0.02)
        samples = await scrape(process.http_port)
        check_balance(samples)
        assert by_label(samples, "ingestor_points_rejected_total", "reason") == {"refused_by_database": BAD}
        assert sum(refused) == 0
        assert await process.terminate() == 0
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == BAD
    assert await count_samples(database.admin_url) == 2 * len(refused) + BAD


async def test_a_damaged_table_of_series_does_not_stop_points_of_series_that_are_known(database: Database) -> None:
    async with running_service(database.writer_url, connections=1) as service:
        await service.client.write(rows([1.0], name="known"))
        await refuse(database, "series", "true", state="XX001")
        new = [asyncio.create_task(service.client.write(_bad(number))) for number in range(5)]
        await asyncio.gather(*new)
        for _ in range(20):
            assert (await service.client.write(rows([1.0], name="known"), timeout_s=10)).accepted_points == 1
        await allow(database, "series")
        await until_nothing_is_held(service.http_port)
    assert await count_samples(database.admin_url) == 31
