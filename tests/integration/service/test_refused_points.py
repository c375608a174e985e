"""Points that the database refuses are set aside, as many as they are; all others of their request are stored."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key
from support.database import Database, fetch
from support.obstacles import allow, constrain, refuse
from support.points import count_samples, fetch_value, key_bytes, rows
from support.scrape import by_label, check_balance, points_held, scrape, until_nothing_is_held
from support.service import Service, error_reason, running_service

POINTS = 20_000
REFUSED = "refused_by_database"


def _values(bad: int) -> list[float]:
    """Return values of which ``bad`` are negative, spread evenly."""
    step = POINTS / bad
    negative = {int(n * step) for n in range(bad)}
    return [-1.0 - n if n in negative else float(n) for n in range(POINTS)]


async def _answer(service: Service, request: pb.WriteRequest) -> pb.WriteResponse:
    """Send a request again with its key, as clients do, until the server has had the time: machines may be slow."""
    while True:
        try:
            return await service.client.write(request, timeout_s=60)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise


@asynccontextmanager
async def _others(service: Service) -> AsyncIterator[None]:
    """Have points of others stored meanwhile, which shows that the database is well."""

    async def write() -> None:
        while True:
            await service.client.write(rows([0.0]))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(write())
    try:
        yield
        assert not task.done(), "nobody else is kept out"
    finally:
        task.cancel()


@pytest.mark.parametrize("ack", [pb.ACK_COMMITTED, pb.ACK_BUFFERED], ids=["committed", "buffered"])
@pytest.mark.parametrize("bad", [1, 20, 900, POINTS - 1, POINTS])
async def test_any_number_of_refused_points_is_set_aside(database: Database, bad: int, ack: pb.Ack) -> None:
    await constrain(database, "samples", "value >= 0")
    request = rows(_values(bad), key=key_bytes())
    request.ack = ack
    async with running_service(database.writer_url) as service:
        await service.client.write(rows([0.0]))  # a table in use: its chunk is there
        if bad == POINTS and ack == pb.ACK_COMMITTED:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _answer(service, request)
            assert (refused.value.code(), error_reason(refused.value)) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                REFUSED.upper(),
            )
        else:
            reply = await _answer(service, request)
            assert reply.accepted_points == POINTS - (bad if ack == pb.ACK_COMMITTED else 0)
        await until_nothing_is_held(service.http_port)
        samples = await scrape(service.http_port)
        check_balance(samples)
        assert by_label(samples, "ingestor_points_rejected_total", "reason") == {REFUSED: bad}
    assert await count_samples(database.admin_url) == 1 + POINTS - bad
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == min(bad, 100)
    assert [(POINTS - bad, bad)] == [
        tuple(entry)
        for entry in await fetch(
            database.admin_url, "SELECT accepted, rejected FROM analytics.ledger WHERE digest <> 0"
        )
    ]


_STATES = ["P0001", "P0004", "22012", "23514", "45000", "UX123", "38000", "09000"]


@pytest.mark.parametrize(("state", "at_commit"), [*((state, False) for state in _STATES), ("23514", True)])
@pytest.mark.parametrize("table", ["samples", "series"])
async def test_whatever_a_trigger_raises_for_a_point_concerns_that_point_alone(
    database: Database, table: str, state: str, at_commit: bool
) -> None:
    condition = "NEW.value < 0" if table == "samples" else "NEW.metric_name = 'bad'"
    await refuse(database, table, condition, state=state, at_commit=at_commit)
    request = pb.WriteRequest(
        points=[
            pb.Point(service_name="s", metric_name="bad" if n == 3 else "m", double_value=-1.0 if n == 3 else n)
            for n in range(10)
        ]
    )
    async with running_service(database.writer_url) as service:
        reply = await service.client.write(request)
        assert (reply.accepted_points, reply.rejected_points) == (9, 1)
        assert [(one.point_index, one.reason) for one in reply.rejections] == [(3, REFUSED)]
        assert state in reply.rejections[0].message
    assert await count_samples(database.admin_url) == 9
    assert await fetch_value(database.admin_url, "SELECT point->>'value' FROM analytics.rejects") == "-1.0"


async def test_values_and_times_are_the_same_when_refused_points_were_searched_for(database: Database) -> None:
    await constrain(database, "samples", "value <> 7")
    values = [7.0, math.nan, math.inf, -math.inf, 0.1, -0.0, 1e-310, 1.7976931348623157e308, 2**53 + 0.0]
    times = [1_760_000_000_123_456_789 + 1_000 * n for n in range(len(values))]
    points = [
        pb.Point(service_name="s", metric_name="m", double_value=value, time_unix_nano=time)
        for value, time in zip(values, times, strict=True)
    ]
    async with running_service(database.writer_url, time_behind_s=1e9) as service:
        reply = await service.client.write(pb.WriteRequest(points=points))
    assert reply.accepted_points == len(values) - 1
    stored = await fetch(
        database.admin_url,
        "SELECT (extract(epoch FROM time) * 1000000)::bigint, value::text FROM analytics.samples ORDER BY time",
    )
    assert [time for time, _ in stored] == [time // 1_000 for time in times[1:]]
    assert [repr(float(value)) for _, value in stored] == [repr(value) for value in values[1:]]


async def test_a_single_point_that_is_refused_is_told_so_at_every_try(database: Database) -> None:
    await constrain(database, "samples", "value >= 0")
    metadata = [("x-idempotency-key", str(mint_key()))]
    point = pb.LogMetricsRequest(service_name="s", metric_name="m", value=-1)
    async with running_service(database.writer_url) as service:
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.client.log_metric(point, metadata)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert error_reason(refused.value) == REFUSED.upper()
        samples = await scrape(service.http_port)
        assert by_label(samples, "ingestor_points_total", "outcome") == {"rejected": 1, "duplicate": 1}
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == 1
    assert await count_samples(database.admin_url) == 0


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize("state", ["P0001", "22P05", "42501", "53400", "25006", "57014", "08006"])
async def test_rejects_that_can_not_be_kept_are_no_reason_to_store_nothing(
    database: Database, state: str, at_commit: bool
) -> None:
    await constrain(database, "samples", "value >= 0")
    await refuse(database, "rejects", "true", state=state, at_commit=at_commit)
    async with running_service(database.writer_url) as service:
        reply = await service.client.write(rows([1.0, -1.0]))
    assert (reply.accepted_points, reply.rejected_points) == (1, 1)
    assert await count_samples(database.admin_url) == 1


@pytest.mark.parametrize("state", ["P0001", "42501", "53100", "55P03", "25006", "57014", "08006"])
async def test_a_reject_that_can_not_be_kept_takes_no_other_with_it(database: Database, state: str) -> None:
    await constrain(database, "samples", "value >= 0")
    await refuse(database, "rejects", "NEW.point->>'value' = '-2.0'", state=state)
    async with running_service(database.writer_url) as service, _others(service):
        reply = await _answer(service, rows([1.0, -1.0, -2.0, -3.0], key=key_bytes()))
    assert (reply.accepted_points, reply.rejected_points) == (1, 3)
    kept = await fetch(database.admin_url, "SELECT point->>'value' FROM analytics.rejects ORDER BY 1")
    assert [value for (value,) in kept] == ["-1.0", "-3.0"]


async def test_rejects_that_the_encoding_lacks_are_kept_in_ascii(database: Database) -> None:
    await constrain(database, "samples", "value >= 0")
    await refuse(database, "rejects", "NEW.point::text ~ '[^ -~]'", state="22P05")
    label = pb.Label(name="city", value="東京 & Zürich")
    points = [pb.Point(service_name="s", metric_name="m", double_value=value, labels=[label]) for value in (1.0, -1.0)]
    async with running_service(database.writer_url) as service:
        reply = await service.client.write(pb.WriteRequest(points=points))
    assert (reply.accepted_points, reply.rejected_points) == (1, 1)
    kept = await fetch_value(database.admin_url, "SELECT point->'labels'->>'city' FROM analytics.rejects")
    assert kept == "&#26481;&#20140; & Z&#252;rich"


@pytest.mark.parametrize(("state", "error_class"), [("53100", "disk_full"), ("53200", "memory")])
async def test_rejects_are_kept_once_a_database_that_is_short_of_room_has_it_again(
    database: Database, state: str, error_class: str
) -> None:
    await constrain(database, "samples", "value >= 0")
    request = rows([-1.0 - n for n in range(60)])
    request.ack = pb.ACK_BUFFERED
    async with running_service(database.writer_url) as service:
        await service.client.write(rows([0.0]))
        # What is refused for itself needs no room in samples, so that only its rejects meet the fault.
        await refuse(database, "samples", "NEW.value >= 0", state=state)
        await refuse(database, "rejects", "true", state=state)
        await service.client.write(request)
        errors = 0.0
        while errors < 3 and await points_held(service.http_port):
            await asyncio.sleep(0.05)
            samples = await scrape(service.http_port)
            errors = by_label(samples, "ingestor_database_errors_total", "class").get(error_class, 0.0)
        await allow(database, "rejects")
        await allow(database, "samples")
        await until_nothing_is_held(service.http_port)
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == 60
