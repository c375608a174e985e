"""What a newcomer's tools see: the original client, reflection through grpcurl, health per service name."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2

from support.database import Database
from support.eventually import HANG_S
from support.original_client import original_messages
from support.points import count_samples, fetch_value
from support.scrape import scrape, value_of
from support.service import Service, http_status, running_service, service_process

GRPCURL = Path(sys.executable).with_name("grpcurl")
ANALYTICS = "analytics.v1.AnalyticsService"
MOST = 3.0
"""Of an empty call and a commit by hand at the same time. Measured: 2.1 to 2.3 of 1 ms; 1.3 of 7 ms on busy cores."""
LONE_CALLS = 200


async def test_a_client_of_the_original_four_fields_works_unchanged(database: Database) -> None:
    request_class, reply_class = original_messages()
    async with running_service(database.writer_url) as service, _channel(service.grpc_port) as channel:
        call: Any = channel.unary_unary(
            f"/{ANALYTICS}/LogMetric",
            request_serializer=request_class.SerializeToString,
            response_deserializer=reply_class.FromString,
        )
        request: Any = request_class(service_name="billing", metric_name="invoices", value=7)
        request.timestamp.FromMilliseconds(time.time_ns() // 1_000_000)
        assert (await call(request)).success
    row = "SELECT row(service_name, metric_name, value, labels)::text FROM analytics.metrics"
    assert await fetch_value(database.reader_url, row) == "(billing,invoices,7,{})"
    stored = "SELECT time = to_timestamp($1::float8) FROM analytics.metrics"
    assert await fetch_value(database.reader_url, stored, request.timestamp.ToMilliseconds() / 1000)


@pytest.mark.alone
async def test_a_lone_original_client_waits_little_longer_than_a_call_and_a_commit_take(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    request_class, reply_class = original_messages()
    request: Any = request_class(service_name="billing", metric_name="invoices", value=7)
    waits_s, floors_s = [], []
    async with (
        service_process(database.writer_url, tmp_path / "log") as service,
        _channel(service.grpc_port) as channel,
    ):
        connection = await asyncpg.connect(database.admin_url, timeout=HANG_S, command_timeout=HANG_S)
        await connection.execute("CREATE TABLE floor (value float8)")
        call: Any = channel.unary_unary(
            f"/{ANALYTICS}/LogMetric",
            request_serializer=request_class.SerializeToString,
            response_deserializer=reply_class.FromString,
        )
        for _ in range(LONE_CALLS):
            started = time.perf_counter()
            assert (await call(request)).success
            waits_s.append(time.perf_counter() - started)
            started = time.perf_counter()
            await _health(channel, "")
            await connection.execute("INSERT INTO floor VALUES (7)")
            floors_s.append(time.perf_counter() - started)
        await connection.close(timeout=5)
    median_s, floor_s = statistics.median(waits_s), statistics.median(floors_s)
    record_property("figures", f"p50 {median_s * 1e3:.2f} ms; an empty call and a commit {floor_s * 1e3:.2f} ms")
    assert median_s <= floor_s * MOST


async def test_reflection_alone_lists_describes_and_calls(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        assert set((await _grpcurl(service, "list")).split()) == {
            ANALYTICS,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        assert "rpc Write ( .analytics.v1.WriteRequest )" in await _grpcurl(service, "describe", ANALYTICS)
        point = {"service_name": "web", "metric_name": "hits", "value": "3"}
        assert json.loads(await _grpcurl(service, f"{ANALYTICS}/LogMetric", body=point)) == {"success": True}
        header = ["-H", "x-idempotency-key: 0199c0de-0000-7000-8000-000000000001"]
        write = {"points": [{"service_name": "web", "metric_name": "load", "double_value": 0.5}]}
        first = json.loads(await _grpcurl(service, *header, f"{ANALYTICS}/Write", body=write))
        again = json.loads(await _grpcurl(service, *header, f"{ANALYTICS}/Write", body=write))
    assert first == {"ack": "ACK_COMMITTED", "accepted_points": "1"}
    assert again == {"ack": "ACK_COMMITTED", "accepted_points": "1", "duplicate": True}
    assert await count_samples(database.admin_url) == 2


@pytest.mark.parametrize("name", ["", ANALYTICS, "grpc.health.v1.Health", "database"])
async def test_health_answers_by_service_name(database: Database, name: str) -> None:
    async with running_service(database.writer_url) as service, _channel(service.grpc_port) as channel:
        async with asyncio.timeout(HANG_S):
            while await _health(channel, name) != health_pb2.HealthCheckResponse.SERVING:
                await asyncio.sleep(0.02)


async def test_health_does_not_know_other_names(database: Database) -> None:
    async with running_service(database.writer_url) as service, _channel(service.grpc_port) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await _health(channel, "nothing")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_http_endpoints_answer_and_scrapes_balance(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        for path in ("/livez", "/readyz", "/status"):
            assert await http_status(service.http_port, path) == 200
        samples = await scrape(service.http_port)
    assert value_of(samples, "ingestor_buffer_limit_bytes") == 64 * 1024 * 1024
    assert value_of(samples, "ingestor_points_held") == 0


def _channel(port: int) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}")


async def _health(channel: grpc.aio.Channel, name: str) -> int:
    call: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return int((await call(health_pb2.HealthCheckRequest(service=name))).status)


async def _grpcurl(service: Service, *arguments: str, body: object = None) -> str:
    options = [argument for argument in arguments if argument.startswith(("-", "x-"))]
    words = [argument for argument in arguments if argument not in options]
    data = [] if body is None else ["-d", json.dumps(body)]
    process = await asyncio.create_subprocess_exec(
        GRPCURL,
        "-plaintext",
        *options,
        *data,
        f"127.0.0.1:{service.grpc_port}",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 0, errors.decode()
    return output.decode()
