"""What is said of a connection that fails while the schema is looked at follows from what failed."""

import asyncio

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from ingestor.storage.contract import ErrorClass, FlushError
from ingestor.storage.flush import FlushSettings
from ingestor.storage.registration import Registrar
from ingestor.storage.rejects import RejectSampler
from ingestor.storage.series import NewSeriesLimit
from ingestor.storage.writer import PostgresWriter
from ingestor.telemetry.metrics import Metrics
from ingestor.telemetry.phases import Phases
from support.database import Database, execute, fetch

_END_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'analytics_writer' AND wait_event_type = 'Lock'
"""


def _writer(database: Database) -> PostgresWriter:
    phases = Phases(Metrics(CollectorRegistry()).flush_seconds)
    settings = FlushSettings("pod", 60, Registrar(NewSeriesLimit(1e9)), RejectSampler(), phases)
    return PostgresWriter(database.writer_url, "analytics", settings)


async def test_a_connection_that_ends_is_not_a_schema_that_is_missing(database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute("BEGIN; LOCK TABLE analytics.migration IN ACCESS EXCLUSIVE MODE")
        connecting = asyncio.create_task(_writer(database).connect())
        async with asyncio.timeout(20):
            while not await fetch(database.admin_url, _END_WAITING):
                await asyncio.sleep(0.01)
        with pytest.raises(FlushError, match=r"^can't look at the schema: ") as caught:
            await connecting
    finally:
        admin.terminate()
    assert caught.value.error_class is ErrorClass.CONNECTION


async def test_a_schema_that_is_missing_is_said_to_be(database: Database) -> None:
    await execute(database.admin_url, "ALTER TABLE analytics.migration RENAME TO other")
    with pytest.raises(FlushError, match=r"^schema not ready: UndefinedTableError 42P01: ") as caught:
        await _writer(database).connect()
    assert caught.value.error_class is ErrorClass.SCHEMA
