"""A request with a key is stored once, whatever is sent twice and whoever dies in between."""

import asyncio
from pathlib import Path

import asyncpg
import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key
from support.database import Database
from support.eventually import HANG_S, POLL_S, eventually
from support.points import columns, count_samples, fetch_value, key_bytes, rows
from support.proxy import CommitProxy
from support.service import client_of, error_reason, running_service, service_process

ACKED_BETWEEN_KILLS = 8


async def test_the_same_key_twice_in_one_flush_is_stored_once(database: Database) -> None:
    request = columns(1_000, key=key_bytes())
    async with running_service(database.writer_url, flush_interval_s=0.2) as service:
        await service.client.write(columns(1))  # the next flush waits for its interval, so both meet in it
        first, second = await asyncio.gather(service.client.write(request), service.client.write(request))
    assert (first.accepted_points, second.accepted_points) == (1_000, 1_000)
    assert sorted([first.duplicate, second.duplicate]) == [False, True]
    assert await count_samples(database.admin_url) == 1_001


async def test_the_same_key_on_two_servers_at_once_is_stored_once(database: Database) -> None:
    requests = [columns(50, key=key_bytes(), name=f"n{n}") for n in range(200)]
    async with running_service(database.writer_url) as one, running_service(database.writer_url) as other:
        replies = await asyncio.gather(
            *(service.client.write(request) for request in requests for service in (one, other))
        )
    assert all(reply.accepted_points == 50 for reply in replies)
    assert sum(reply.duplicate for reply in replies) == len(requests)
    assert await count_samples(database.admin_url) == 50 * len(requests)


async def test_a_retry_after_a_reply_lost_after_commit_is_a_duplicate(database: Database) -> None:
    request = columns(1_000, key=key_bytes())
    async with running_service(database.writer_url) as service:
        # The client goes away while its request is being stored, as one whose reply is lost does.
        async with CommitProxy(database.writer_url) as slow, running_service(slow.url) as behind:
            slow.hold_commit_replies()
            call = asyncio.create_task(behind.client.write(request))
            await slow.commit_done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            slow.release()
        retry = await service.client.write(request)
    assert retry.duplicate
    assert retry.accepted_points == 1_000
    assert await count_samples(database.admin_url) == 1_000


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
async def test_a_commit_of_unknown_outcome_is_found_out_and_stored_once(
    database: Database, *, committed: bool, keyed: bool
) -> None:
    request = columns(1_000, key=key_bytes() if keyed else b"")
    async with CommitProxy(database.writer_url) as proxy, running_service(proxy.url) as service:
        await service.client.write(columns(1))
        proxy.break_next_commit(let_through=committed)
        reply = await service.client.write(request)
        assert proxy.broken == 1
    assert reply.accepted_points == 1_000
    assert not reply.duplicate
    assert await count_samples(database.admin_url) == 1_001


async def test_a_lost_commit_beside_a_twin_on_another_server_is_stored_once(database: Database) -> None:
    request = columns(1_000, key=key_bytes())
    async with (
        CommitProxy(database.writer_url) as proxy,
        running_service(proxy.url) as one,
        running_service(database.writer_url) as other,
    ):
        await one.client.write(columns(1))
        proxy.break_next_commit(let_through=False)
        lost = asyncio.create_task(one.client.write(request))
        await eventually(lambda: proxy.broken == 1)
        replies = [await other.client.write(request), await lost]
        again = [await service.client.write(request) for service in (one, other)]
    assert [reply.accepted_points for reply in (*replies, *again)] == [1_000] * 4
    assert not replies[0].duplicate  # nor is the other reply one: its server can't tell the twin's row from its own
    assert [reply.duplicate for reply in again] == [True, True]
    assert await count_samples(database.admin_url) == 1_001


async def test_backends_killed_under_load_lose_and_double_nothing(database: Database) -> None:
    acked: list[int] = []
    async with running_service(database.writer_url) as service:

        async def send(worker: int) -> None:
            for turn in range(25):
                request = columns(200, key=key_bytes(), name=f"w{worker}-{turn}")
                while True:
                    try:
                        acked.append((await service.client.write(request)).accepted_points)
                        break
                    except grpc.aio.AioRpcError as error:
                        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

        senders = asyncio.gather(*(send(worker) for worker in range(8)))
        killed = await _kill_backends_until(senders, acked, database.admin_url)
        await senders
    assert killed >= 3
    assert acked == [200] * (8 * 25)
    assert await count_samples(database.admin_url) == sum(acked)


async def _kill_backends_until(done: "asyncio.Future[list[None]]", acked: list[int], admin_url: str) -> int:
    """Terminate every writer's backend whenever some more requests are acked; return how many were."""
    connection = await asyncpg.connect(admin_url)
    killed = struck_at = 0
    try:
        while not done.done():
            if len(acked) >= struck_at + ACKED_BETWEEN_KILLS:
                struck_at = len(acked)
                killed += await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE usename = 'analytics_writer' AND datname = current_database()"
                )
            await asyncio.wait([done], timeout=POLL_S)
    finally:
        await connection.close()
    return killed


async def test_a_server_killed_while_it_sets_refused_rows_aside_leaves_nothing_half_done(
    database: Database, tmp_path: Path
) -> None:
    await _refuse_negative_values(database)
    values = [float(-1 if n % 40 == 0 else n) for n in range(20_000)]
    request = rows(values, key=key_bytes())
    async with (
        service_process(database.writer_url, tmp_path / "log") as process,
        client_of(process.grpc_port) as client,
    ):
        call = asyncio.create_task(client.write(request))
        await _until_in_savepoint(database.admin_url)
        process.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    for table in ("samples", "ledger", "rejects"):
        assert await fetch_value(database.admin_url, f"SELECT count(*) FROM analytics.{table}") == 0
    async with running_service(database.writer_url) as service:
        first = await service.client.write(request)
        again = await service.client.write(request)
    assert (first.accepted_points, first.rejected_points, first.duplicate) == (19_500, 500, False)
    assert (again.accepted_points, again.rejected_points, again.duplicate) == (19_500, 500, True)
    assert await count_samples(database.admin_url) == 19_500


async def _until_in_savepoint(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        async with asyncio.timeout(HANG_S):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = 'analytics_writer' AND query LIKE '%SAVEPOINT block%'"
            ):
                await asyncio.sleep(0.001)
    finally:
        await connection.close()


async def _refuse_negative_values(database: Database) -> None:
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("ALTER TABLE analytics.samples ADD CONSTRAINT no_negative CHECK (value >= 0)")
    await connection.close()


async def test_one_refused_row_of_a_large_flush_is_set_aside_and_the_others_are_committed_with_it(
    database: Database,
) -> None:
    await _refuse_negative_values(database)
    values = [float(n) for n in range(20_000)]
    values[12_345] = -7.0
    async with running_service(database.writer_url) as service:
        reply = await service.client.write(rows(values, key=key_bytes()))
    assert (reply.accepted_points, reply.rejected_points) == (19_999, 1)
    assert [(r.point_index, r.reason) for r in reply.rejections] == [(12_345, "refused_by_database")]
    assert await count_samples(database.admin_url) == 19_999
    point = await fetch_value(database.admin_url, "SELECT point->>'value' FROM analytics.rejects")
    assert point == "-7.0"
    assert await fetch_value(database.admin_url, "SELECT accepted FROM analytics.ledger") == 19_999


async def test_a_key_used_for_other_points_is_refused_and_nothing_of_it_is_stored(database: Database) -> None:
    key = mint_key().bytes
    async with running_service(database.writer_url) as service:
        await service.client.write(rows([1.0], key=key))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.client.write(rows([2.0], key=key))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_reason(refused.value) == "IDEMPOTENCY_KEY_REUSED"
    assert await count_samples(database.admin_url) == 1


async def test_a_key_in_metadata_makes_single_points_exactly_once(database: Database) -> None:
    metadata = [("x-idempotency-key", str(mint_key()))]
    point = pb.LogMetricsRequest(service_name="s", metric_name="m", value=1)
    async with running_service(database.writer_url) as service:
        for _ in range(3):
            assert (await service.client.log_metric(point, metadata)).success
    assert await count_samples(database.admin_url) == 1
