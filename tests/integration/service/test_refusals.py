"""Every way in which a call is refused is counted with its reason, and its caller told whether to come back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database, PrivateServer
from support.eventually import HANG_S
from support.points import columns
from support.raw_http2 import RawConnection, grpc_message, raw_connection
from support.scrape import Samples, check_balance, scrape, value_of
from support.service import Service, error_reason, retry_info, running_service
from support.wire import text_field

MIB = 1024 * 1024
POLL_S = 0.02

Cause = Callable[[Service], Awaitable[object]]


def _stream_of(channel: grpc.aio.Channel) -> Any:
    """Call ``Write`` as if it took a stream, with raw bytes both ways."""
    return channel.stream_unary("/analytics.v1.AnalyticsService/Write", None, None)


async def _many_points(service: Service) -> object:
    """Send more than a second's points, which are taken, and more before the time that they are worth is over."""
    for _ in range(2):
        await service.client.write(columns(1_000))
    return None


async def _many_series(service: Service) -> object:
    series = [pb.Series(service_name="s", metric_name=f"m{number}") for number in range(500)]
    everything = pb.Columns(series=series, series_index=range(500), time_unix_nano=[0] * 500, value=[1.0] * 500)
    return await service.client.write(pb.WriteRequest(columns=[everything]))


async def _nothing_sent(service: Service) -> object:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        method = _stream_of(channel)
        return await method(iter(()))


async def _too_large(service: Service) -> object:
    return await service.client.write(text_field(9, bytes(5 * MIB)))


async def _begin(connection: RawConnection, *, end: bool = False) -> int:
    """Send a part of a message and return the call's number."""
    number = await connection.call()
    await connection.send_data(number, grpc_message(b"12345678")[:7], end=end)
    return number


async def _until_receiving(service: Service) -> None:
    async with asyncio.timeout(HANG_S):
        while not value_of(await scrape(service.http_port), "ingestor_receiving_messages"):
            await asyncio.sleep(POLL_S)


async def _until_ended(connection: RawConnection, number: int) -> None:
    async with asyncio.timeout(HANG_S):
        await connection.streams[number].ended.wait()


async def _given_up(service: Service) -> object:
    async with raw_connection(service.grpc_port) as connection:
        number = await _begin(connection)
        await _until_receiving(service)
        await connection.reset(number)
    return None


async def _trickled(service: Service) -> object:
    async with raw_connection(service.grpc_port) as connection:
        await _until_ended(connection, await _begin(connection))
    return None


async def _half_a_message(service: Service) -> object:
    async with raw_connection(service.grpc_port) as connection:
        await _until_ended(connection, await _begin(connection, end=True))
    return None


async def _crowded_out(service: Service) -> object:
    """With one permit, a call that trickles loses it to the next."""
    async with raw_connection(service.grpc_port) as connection:
        number = await _begin(connection)
        await _until_receiving(service)
        await service.client.write(columns(1))
        await _until_ended(connection, number)
    return None


CASES = [
    ("points over the limit", _many_points, {"points_per_s": 1}, "RESOURCE_EXHAUSTED", "points_limit", True),
    ("new series", _many_series, {"new_series_per_s": 100}, "RESOURCE_EXHAUSTED", "new_series_limit", True),
    ("no message", _nothing_sent, {}, "INVALID_ARGUMENT", "message_missing", False),
    ("half a message", _half_a_message, {}, "INVALID_ARGUMENT", "message_missing", False),
    ("message too large", _too_large, {}, "CANCELLED", "cancelled", False),
    ("client gone", _given_up, {}, "CANCELLED", "cancelled", False),
    ("too slow", _trickled, {"receive_timeout_s": 1}, "UNAVAILABLE", "receive_timeout", True),
    ("too slow, others wait", _crowded_out, {"in_flight_bytes": 4 * MIB}, "UNAVAILABLE", "receive_too_slow", True),
]


async def _counted(service: Service, code: str, reason: str) -> Samples:
    async with asyncio.timeout(HANG_S):
        while True:
            samples = await scrape(service.http_port)
            if value_of(samples, "ingestor_requests_total", method="Write", code=code, reason=reason):
                return samples
            await asyncio.sleep(POLL_S)


@pytest.mark.parametrize(
    ("cause", "settings", "code", "reason", "again"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
async def test_a_refusal_is_counted_with_its_reason(
    database: Database, cause: Cause, settings: dict[str, object], code: str, reason: str, again: bool
) -> None:
    async with running_service(database.writer_url, **settings) as service:
        try:
            await cause(service)
        except grpc.aio.AioRpcError as error:
            assert (retry_info(error) is not None) is again
            assert error_reason(error) in ("", reason.upper())
        samples = await _counted(service, code, reason)
        check_balance(samples)
        calls = {labels: n for (name, labels), n in samples.items() if name == "ingestor_requests_total"}
        told = {(dict(labels)["code"], dict(labels)["reason"]): n for labels, n in calls.items()}
        assert {key: n for key, n in told.items() if key[0] != "OK"} == {(code, reason): 1}
        assert value_of(samples, "ingestor_refused_total", reason=reason) == again


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"commit_timeout_s": 0.5}, "database_away"), ({"ack": "buffered", "buffer_bytes": MIB}, "buffer_full")],
)
async def test_refusals_without_database_are_counted_with_their_reason(
    private_server: PrivateServer, settings: dict[str, object], reason: str
) -> None:
    async with running_service(private_server.database.writer_url, shutdown_grace_s=6, **settings) as service:
        await private_server.server.stop()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            for _ in range(10):
                await service.client.write(columns(20_000))
        assert error_reason(refused.value) == reason.upper()
        assert retry_info(refused.value) is not None
        samples = await _counted(service, "UNAVAILABLE", reason)
        assert value_of(samples, "ingestor_refused_total", reason=reason) == 1
        check_balance(samples)
        await private_server.server.start()


async def test_calls_that_are_not_quite_unary_are_never_a_fault_of_ours(database: Database) -> None:
    one = columns(3).SerializeToString()
    async with (
        running_service(database.writer_url) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel,
    ):
        method = _stream_of(channel)
        assert pb.WriteResponse.FromString(await method(iter([b""]))).accepted_points == 0
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(iter([one, one]))
        assert error_reason(refused.value) == "MESSAGES_TOO_MANY"
        samples = await scrape(service.http_port)
    assert value_of(samples, "ingestor_requests_total", method="Write", code="OK", reason="") == 1
    told = {"method": "Write", "code": "UNIMPLEMENTED", "reason": "messages_too_many"}
    assert value_of(samples, "ingestor_requests_total", **told) == 1
