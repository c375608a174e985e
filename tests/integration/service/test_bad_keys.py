"""Keys and acknowledgements that can't be honoured are refused before anything is stored."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import asyncpg
import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key
from support.database import Database
from support.eventually import HANG_S
from support.points import count_samples, rows
from support.scrape import check_balance, scrape, value_of
from support.service import Service, error_reason, running_service, violations

MINUTE_MS = 60_000
RANDOM_KEY = uuid.UUID("6f1f4d2e-8a35-4c1b-9d6a-1c7a5b2e9f00")
KEY, OTHER_KEY = mint_key(), mint_key()
METADATA = "x-idempotency-key"


def _ahead() -> uuid.UUID:
    # Made when the tests are collected and used minutes later.
    return mint_key(time.time_ns() // 1_000_000 + 60 * MINUTE_MS)


async def _refusal(
    service: Service, request: pb.WriteRequest, metadata: Sequence[tuple[str, str]] = ()
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await service.client.write(request, metadata)
    return refused.value


@pytest.mark.parametrize(
    ("key", "ack", "metadata", "violation"),
    [
        pytest.param(b"short", 0, [], ("idempotency_key", "idempotency_key_malformed"), id="short field"),
        pytest.param(RANDOM_KEY.bytes, 0, [], ("idempotency_key", "idempotency_key_malformed"), id="version 4 field"),
        pytest.param(b"", 0, [(METADATA, "no key")], (METADATA, "idempotency_key_malformed"), id="metadata"),
        pytest.param(b"", 0, [(METADATA, str(RANDOM_KEY))], (METADATA, "idempotency_key_malformed"), id="version 4"),
        pytest.param(b"", 0, [(METADATA, KEY.hex)], (METADATA, "idempotency_key_malformed"), id="without hyphens"),
        pytest.param(b"", 0, [(METADATA, str(KEY))] * 2, (METADATA, "idempotency_key_ambiguous"), id="key twice"),
        pytest.param(_ahead().bytes, 0, [], ("idempotency_key", "idempotency_key_ahead"), id="ahead"),
        pytest.param(
            b"", 0, [(METADATA, str(_ahead()))], ("idempotency_key", "idempotency_key_ahead"), id="ahead in metadata"
        ),
        pytest.param(
            KEY.bytes, 0, [(METADATA, str(OTHER_KEY))], ("idempotency_key", "idempotency_key_ambiguous"), id="two keys"
        ),
        pytest.param(b"", 0, [("x-ack", "spooled")], ("x-ack", "ack_unknown"), id="unknown x-ack"),
        pytest.param(b"", 0, [("x-ack", "")], ("x-ack", "ack_unknown"), id="empty x-ack"),
        pytest.param(b"", 2, [], ("ack", "ack_unknown"), id="unknown ack"),
        pytest.param(b"", 1, [("x-ack", "committed")], ("ack", "ack_ambiguous"), id="two acks"),
    ],
)
async def test_what_can_not_be_honoured_is_refused_at_its_field(
    database: Database, key: bytes, ack: int, metadata: list[tuple[str, str]], violation: tuple[str, str]
) -> None:
    request = rows([1.0], key=key)
    request.ack = ack  # type: ignore[assignment]
    async with running_service(database.writer_url) as service:
        error = await _refusal(service, request, metadata)
        samples = await scrape(service.http_port)
    assert (error.code(), violations(error)) == (grpc.StatusCode.INVALID_ARGUMENT, [violation])
    assert error_reason(error) == violation[1].upper()
    counted = {"method": "Write", "code": "INVALID_ARGUMENT", "reason": violation[1]}
    assert value_of(samples, "ingestor_requests_total", **counted) == 1
    check_balance(samples)
    assert await count_samples(database.admin_url) == 0


async def test_the_same_key_in_field_and_metadata_is_one_key(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        first = await service.client.write(rows([1.0], key=KEY.bytes), [(METADATA, str(KEY))])
        again = await service.client.write(rows([1.0]), [(METADATA, str(KEY).upper())])
    assert (first.duplicate, again.duplicate) == (False, True)


async def test_a_key_a_little_ahead_of_the_server_is_taken(database: Database) -> None:
    key = mint_key(time.time_ns() // 1_000_000 + 4 * MINUTE_MS)
    async with running_service(database.writer_url) as service:
        assert (await service.client.write(rows([1.0], key=key.bytes))).accepted_points == 1


async def test_a_key_of_other_points_is_refused_from_the_ledger(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        await service.client.write(rows([1.0], key=KEY.bytes))
    async with running_service(database.writer_url) as service:
        error = await _refusal(service, rows([2.0], key=KEY.bytes))
        check_balance(await scrape(service.http_port))
    assert (error.code(), error_reason(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
    assert await count_samples(database.admin_url) == 1


async def test_a_key_of_other_points_is_refused_while_they_are_held(database: Database) -> None:
    async with running_service(database.writer_url) as service:
        blocker = await asyncpg.connect(database.admin_url)
        try:
            transaction = blocker.transaction()
            await transaction.start()
            await blocker.execute("LOCK TABLE analytics.samples IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(service.client.write(rows([1.0], key=KEY.bytes)))
            async with asyncio.timeout(HANG_S):
                while not value_of(await scrape(service.http_port), "ingestor_points_held"):
                    await asyncio.sleep(0.01)
            error = await _refusal(service, rows([2.0], key=KEY.bytes))
            await transaction.rollback()
        finally:
            await blocker.close()
        assert (await first).accepted_points == 1
        check_balance(await scrape(service.http_port))
    assert (error.code(), error_reason(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
    assert await count_samples(database.admin_url) == 1


async def _beat_for_two_hours(database: Database) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(
        "INSERT INTO analytics.ledger_beat SELECT generate_series(date_trunc('minute', now()) - interval '2 hours',"
        " date_trunc('minute', now()), interval '1 minute') ON CONFLICT DO NOTHING"
    )
    await connection.close()


async def test_a_key_older_than_the_window_is_refused_and_a_younger_one_is_not(database: Database) -> None:
    await _beat_for_two_hours(database)
    now_ms = time.time_ns() // 1_000_000
    old, young = mint_key(now_ms - 63 * MINUTE_MS), mint_key(now_ms - 57 * MINUTE_MS)
    async with running_service(database.writer_url, deduplication_window_min=60) as service:
        error = await _refusal(service, rows([1.0, 2.0], key=old.bytes))
        assert (await service.client.write(rows([1.0], key=young.bytes))).accepted_points == 1
        check_balance(await scrape(service.http_port))
    assert (error.code(), error_reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "IDEMPOTENCY_KEY_EXPIRED")
    assert await count_samples(database.admin_url) == 1


async def test_a_key_that_may_have_expired_is_no_reason_to_take_back_an_answer(database: Database) -> None:
    await _beat_for_two_hours(database)
    now_ms = time.time_ns() // 1_000_000
    old, young = mint_key(now_ms - 63 * MINUTE_MS), mint_key(now_ms - MINUTE_MS)
    async with running_service(database.writer_url, ack="buffered") as service:
        error = await _refusal(service, rows([1.0], key=old.bytes))
        assert (await service.client.write(rows([1.0], key=young.bytes))).ack == pb.ACK_BUFFERED
    assert (error.code(), error_reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "IDEMPOTENCY_KEY_EXPIRED")


async def test_no_key_expires_while_the_database_has_not_been_up_for_the_window(database: Database) -> None:
    key = mint_key(time.time_ns() // 1_000_000 - 10_000 * MINUTE_MS)
    async with running_service(database.writer_url) as service:
        assert (await service.client.write(rows([1.0], key=key.bytes))).accepted_points == 1
        assert (await service.client.write(rows([1.0], key=key.bytes))).duplicate
