"""Servers behind PgBouncer, as it comes, in each of its modes, and where it does not track prepared statements."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc
import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.schema.drop import drop_schema
from ingestor.schema.exclusive import Limits
from ingestor.schema.faults import SchemaInUseError
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.writers import show_writer
from ingestor.storage.connection import close_connection, open_connection, transaction
from support.database import SCHEMA, Database, execute
from support.eventually import eventually
from support.pgbouncer import CURRENT, OLD, find_pgbouncer, pgbouncer
from support.points import columns, count_samples, fetch_value, key_bytes, rows
from support.service import Client, client_of, running_service, service_process

LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "client_connection_check_interval": "5s",
    "jit": "off",
    "search_path": SCHEMA,
    "transaction_isolation": "read committed",
}
KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename = 'analytics_writer' AND datname = current_database()"
)


SESSION = pytest.param((CURRENT, {}), id="session")
TRANSACTION = pytest.param((CURRENT, {"pool_mode": "transaction"}), id="transaction")
UNTRACKED = pytest.param((CURRENT, {"pool_mode": "transaction", "max_prepared_statements": 0}), id="untracked")
OLDEST = pytest.param((OLD, {"pool_mode": "transaction"}), id="1.18")


@pytest.fixture(params=[SESSION, TRANSACTION, UNTRACKED, OLDEST])
async def pooled(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Give the database through a PgBouncer whose few sessions go from one server to another."""
    suite, settings = request.param
    command = await find_pgbouncer(suite)
    async with pgbouncer(command, database, default_pool_size=6 if not settings else 2, **settings) as through:
        yield through


async def test_two_servers_whose_backends_are_killed_store_each_point_once(
    database: Database, pooled: Database, tmp_path: Path
) -> None:
    async with (
        running_service(pooled.writer_url) as one,
        service_process(pooled.writer_url, tmp_path / "log") as process,
        client_of(process.grpc_port) as other,
    ):
        replies: list[pb.WriteResponse] = []
        senders = asyncio.gather(*(_send_to_both(worker, replies, one.client, other) for worker in range(6)))
        for answered in range(10, 110, 20):
            await eventually(lambda: len(replies) >= answered or senders.done(), timeout_s=60)  # noqa: B023
            await execute(database.admin_url, KILL)
        await senders
    assert [reply.accepted_points for reply in replies] == [50] * 120
    assert await count_samples(database.admin_url) == 50 * 60
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.ledger_beat")


async def _send_to_both(worker: int, replies: list[pb.WriteResponse], *clients: Client) -> None:
    """Send each request to both servers at once, again and again until they take it."""
    for turn in range(10):
        request = columns(50, key=key_bytes(), name=f"w{worker}-{turn}")
        replies += await asyncio.gather(*(_send(client, request) for client in clients))


async def _send(client: Client, request: pb.WriteRequest) -> pb.WriteResponse:
    while True:
        try:
            return await client.write(request)
        except grpc.aio.AioRpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_points_that_are_refused_are_kept_as_ever(database: Database, pooled: Database) -> None:
    await execute(database.owner_url, "ALTER TABLE analytics.samples ADD CONSTRAINT positive CHECK (value >= 0)")
    async with running_service(pooled.writer_url) as service:
        reply = await service.client.write(rows([1.0, -1.0, 2.0], key=key_bytes()))
    assert (reply.accepted_points, reply.rejected_points) == (2, 1)
    assert await fetch_value(database.admin_url, "SELECT count(*) FROM analytics.rejects") == 1


async def test_every_transaction_has_its_limits(database: Database, pooled: Database) -> None:
    query = ", ".join(f"current_setting('{name}') AS {name}" for name in LIMITS)
    for url in (database.writer_url, pooled.writer_url):
        connection = await open_connection(url, SCHEMA)
        async with transaction(connection):
            (row,) = await connection.fetch(f"SELECT {query}")
        await close_connection(connection)
        assert {name: value.strip('"') for name, value in row.items()} == LIMITS


@pytest.mark.parametrize("pooled", [SESSION, TRANSACTION], indirect=True)
async def test_a_drop_finds_idle_servers_behind_a_pooler_until_they_stop(database: Database, pooled: Database) -> None:
    spec = SchemaSpec(name=SCHEMA)
    async with running_service(pooled.writer_url) as service:
        await service.client.write(rows([1.0]))
        with pytest.raises(SchemaInUseError, match="stop those servers first"):
            await drop_schema(database.owner_url, spec)
        await service.client.write(rows([2.0]))
    dropped = await drop_schema(database.owner_url, spec, limits=Limits(watch_s=0.5))
    assert ("table", "samples") in dropped.objects


@pytest.mark.parametrize("pooled", [TRANSACTION], indirect=True)
async def test_a_transaction_that_could_not_begin_leaves_the_connection_usable(
    database: Database, pooled: Database
) -> None:
    connection = await open_connection(pooled.writer_url, SCHEMA)
    holder = await asyncpg.connect(database.owner_url)
    try:
        await holder.execute(show_writer(SCHEMA).replace("_xact_lock_shared", "_lock"))
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with transaction(connection):
                pass
        await holder.close()
        async with transaction(connection):
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await holder.close()
        await close_connection(connection)
