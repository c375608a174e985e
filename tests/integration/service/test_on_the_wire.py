"""How answers look on the wire: what clients of other languages make of them hangs on their frames.

Source: gRPC over HTTP2, "Responses": a call that fails at once is answered by Trailers-Only. Clients take a refusal
that comes after headers, or after a message, for a call that was begun: they retry it no more, or drop its status.
"""

import base64
import time
from collections.abc import Awaitable, Callable

import pytest
from google.rpc import error_details_pb2, status_pb2

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.eventually import eventually
from support.points import columns, count_samples
from support.raw_http2 import END_STREAM, HEADERS, WRITE_PATH, RawConnection, Stream, grpc_message, raw_connection
from support.service import Service, running_service
from support.wire import text_field

MIB = 1024 * 1024
LOG_METRIC_PATH = "/analytics.v1.AnalyticsService/LogMetric"
HEALTH_PATH = "/grpc.health.v1.Health/"

Cause = Callable[[RawConnection, Service], Awaitable[int]]


def _call(path: str, *messages: bytes, end: bool = True, **metadata: str) -> Cause:
    """Return a call with these messages, each with gRPC's prefix already, whose client's side then ends or does not."""

    async def cause(connection: RawConnection, _: Service) -> int:
        fields = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        number = await connection.call(path, fields, end=end and not messages)
        if messages:
            await connection.send_data(number, b"".join(messages), end=end)
        return number

    return cause


async def _too_large(connection: RawConnection, _: Service) -> int:
    number = await connection.call()
    await connection.send_message(number, memoryview(grpc_message(text_field(9, bytes(5 * MIB)))))
    return number


async def _crowded_out(connection: RawConnection, service: Service) -> int:
    """With one permit, a call that trickles loses it to the next."""
    number = await connection.call()
    await connection.send_data(number, HALF)
    while not connection.streams[number].ended.is_set():
        await service.client.write(columns(1))
    return number


async def _over_a_limit(connection: RawConnection, service: Service) -> int:
    await service.client.write(columns(1_000))
    return await _call(WRITE_PATH, ONE)(connection, service)


ONE = grpc_message(columns(3).SerializeToString())
POINT = grpc_message(pb.LogMetricsRequest(service_name="s", metric_name="m", value=1).SerializeToString())
NAMELESS = grpc_message(pb.LogMetricsRequest(value=1).SerializeToString())
GARBAGE = grpc_message(b"\xff" * 10)
HALF = ONE[:20]
LATE_KEY = f"{(int(time.time()) + 86_400) * 1000:012x}"
KEY_AHEAD = f"{LATE_KEY[:8]}-{LATE_KEY[8:]}-7000-8000-000000000001"

REFUSALS: list[tuple[str, Cause, dict[str, object], str]] = [
    ("metadata at fault", _call(WRITE_PATH, ONE, x_ack="never"), {}, "3"),
    ("key ahead", _call(WRITE_PATH, ONE, x_idempotency_key=KEY_AHEAD), {}, "3"),
    ("malformed", _call(WRITE_PATH, GARBAGE), {}, "3"),
    ("single point, malformed", _call(LOG_METRIC_PATH, GARBAGE), {}, "3"),
    ("single point, invalid", _call(LOG_METRIC_PATH, NAMELESS), {}, "3"),
    ("no message", _call(WRITE_PATH), {}, "3"),
    ("half a message", _call(WRITE_PATH, HALF), {}, "3"),
    ("too slow", _call(WRITE_PATH, HALF, end=False), {"receive_timeout_s": 1}, "14"),
    ("too slow, others wait", _crowded_out, {"in_flight_bytes": 4 * MIB}, "14"),
    ("over a limit", _over_a_limit, {"points_per_s": 1}, "8"),
    ("too large", _too_large, {}, "8"),
    ("unknown method", _call("/analytics.v1.AnalyticsService/Nothing", ONE), {}, "12"),
    ("unknown service", _call("/nobody.v1.Nothing/Nothing", ONE), {}, "12"),
    ("unknown compression", _call(WRITE_PATH, b"\1" + ONE[1:], grpc_encoding="nothing"), {}, "13"),
    ("health of nobody", _call(f"{HEALTH_PATH}Check", grpc_message(text_field(1, "nothing"))), {}, "5"),
]
"""What is refused, how it comes about, the settings that it takes, and its status as a number."""


async def _answer(service: Service, cause: Cause) -> Stream:
    async with raw_connection(service.grpc_port) as connection:
        stream = connection.streams[await cause(connection, service)]
        await eventually(stream.ended.is_set)
    return stream


def _check_trailers_only(stream: Stream, code: str) -> dict[str, str]:
    """Return the fields of an answer that must be one frame of headers and the end of the stream."""
    assert [(frame.kind, frame.flags & END_STREAM) for frame in stream.answer] == [(HEADERS, END_STREAM)]
    (fields,) = stream.headers()
    assert (fields[":status"], fields["grpc-status"]) == ("200", code), fields
    assert fields["content-type"].startswith("application/grpc")
    return fields


def _binary(value: str) -> bytes:
    return base64.b64decode(value + "=" * (-len(value) % 4))


def _check_retry_info(fields: dict[str, str]) -> None:
    """See that the pause stands in both trailers that clients look into, and is the same."""
    status = status_pb2.Status.FromString(_binary(fields["grpc-status-details-bin"]))
    alone = error_details_pb2.RetryInfo.FromString(_binary(fields["google.rpc.retryinfo-bin"]))
    within = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(within) for detail in status.details)
    assert alone == within
    assert alone.retry_delay.ToMilliseconds() > 0


@pytest.mark.parametrize(("cause", "settings", "code"), [pytest.param(*case[1:], id=case[0]) for case in REFUSALS])
async def test_a_refusal_is_one_frame_of_trailers(
    database: Database, cause: Cause, settings: dict[str, object], code: str
) -> None:
    async with running_service(database.writer_url, **settings) as service:
        fields = _check_trailers_only(await _answer(service, cause), code)
    if code in ("8", "14") and cause is not _too_large:
        _check_retry_info(fields)
    else:
        assert "google.rpc.retryinfo-bin" not in fields


@pytest.mark.parametrize(("path", "message"), [(WRITE_PATH, ONE), (LOG_METRIC_PATH, POINT)], ids=["many", "single"])
async def test_a_refusal_after_the_points_waited_is_one_frame_of_trailers(path: str, message: bytes) -> None:
    nowhere = "postgresql://nobody:nothing@127.0.0.1:1/nothing"
    async with running_service(nowhere, commit_timeout_s=0.2, shutdown_grace_s=6) as service:
        _check_retry_info(_check_trailers_only(await _answer(service, _call(path, message)), "14"))


@pytest.mark.parametrize(
    ("path", "message", "ack"),
    [(WRITE_PATH, ONE, "committed"), (WRITE_PATH, ONE, "buffered"), (LOG_METRIC_PATH, POINT, "committed")],
    ids=["committed", "buffered", "single point, committed"],
)
async def test_two_messages_in_a_call_for_one_are_refused_and_neither_is_stored(
    database: Database, path: str, message: bytes, ack: str
) -> None:
    async with running_service(database.writer_url) as service:
        _check_trailers_only(await _answer(service, _call(path, message, message, x_ack=ack)), "12")
    assert await count_samples(database.admin_url) == 0


@pytest.mark.parametrize(("path", "message"), [(WRITE_PATH, ONE), (LOG_METRIC_PATH, POINT)], ids=["many", "single"])
async def test_an_answer_is_headers_a_message_and_trailers(database: Database, path: str, message: bytes) -> None:
    async with running_service(database.writer_url) as service:
        stream = await _answer(service, _call(path, message))
    first, last = stream.headers()
    assert (first[":status"], last["grpc-status"]) == ("200", "0")
