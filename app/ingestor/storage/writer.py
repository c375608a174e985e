"""PostgreSQL behind the pipeline's ``Writer``: one connection, one flush at a time."""

import time
import uuid

import asyncpg

from ingestor.keys import mint_key
from ingestor.schema.versions import REQUIRED_VERSION
from ingestor.storage.connection import (
    COMMAND_TIMEOUT_S,
    FLUSH_TIMEOUT_S,
    Connection,
    close_connection,
    describe,
    open_connection,
    terminated_on_failure,
    transaction,
)
from ingestor.storage.contract import Batch, ErrorClass, FlushError, Outcome
from ingestor.storage.flush import Flush, FlushSettings
from ingestor.storage.ledger import Floor, beat, expire_keys
from ingestor.storage.proof import prove
from ingestor.storage.retention import read_retention
from ingestor.storage.sqlstate import CONNECTION_ERRORS, READ_ONLY, classify

_VERSION = "SELECT coalesce(max(version), 0) FROM {schema}.migration"
CHUNK = """
SELECT (extract(epoch FROM time_interval) * 1000000)::bigint FROM timescaledb_information.dimensions
WHERE hypertable_schema = $1 AND hypertable_name = 'samples' AND dimension_number = 1
"""
"""Microseconds that a chunk of ``samples`` covers; no row where it is no hypertable. $1 is the schema."""
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
CHECK_TIMEOUT_S = 5.0
_EXPIRY_S = 10.0
"""Longest time that one housekeeping deletes old keys: 5,000 take about 0.1 s, so that it keeps up with any rate."""


class PostgresWriter:
    """One lane into TimescaleDB."""

    def __init__(self, url: str, schema: str, settings: FlushSettings) -> None:
        self._url = url
        self._schema = schema
        self._settings = settings
        self._connection: Connection | None = None
        self._epoch = 0
        self._floor = Floor(settings.deduplication_window_min)
        self._database_ahead_s = time.time() - time.monotonic()
        self.chunk_us = 86_400_000_000
        self.retention_us: int | None = None

    async def connect(self) -> None:
        """Connect anew and check that the schema is one this version can write to."""
        await self.close()
        connection = await open_connection(self._url, self._schema)
        try:
            async with terminated_on_failure(connection, COMMAND_TIMEOUT_S), transaction(connection):
                await self._check(connection)
        except FlushError:
            connection.terminate()
            raise
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            connection.terminate()
            error_class = classify(error)
            problem = "schema not ready" if error_class is ErrorClass.SCHEMA else "can't look at the schema"
            raise FlushError(f"{problem}: {describe(error)}", error_class) from error
        self._epoch = next(self._settings.epochs)
        self._floor = Floor(self._settings.deduplication_window_min)
        self._connection = connection

    def mint_key(self) -> uuid.UUID:
        """Return a new key by the database's clock; see ``contract.Writer.mint_key``."""
        return mint_key(int((time.monotonic() + self._database_ahead_s) * 1000))

    async def flush(self, batch: Batch) -> list[Outcome]:
        """Store ``batch``; see ``contract.Writer.flush``."""
        connection = self._connected()
        flush = Flush(connection, batch, self._settings, self._floor, chunk_us=self.chunk_us, epoch=self._epoch)
        try:
            async with terminated_on_failure(connection, FLUSH_TIMEOUT_S):
                return await flush.run()
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            raise flush.failure(error) from error

    async def check(self) -> None:
        """See that the database answers; see ``contract.Writer.check``."""
        connection = self._connected()
        try:
            async with terminated_on_failure(connection, CHECK_TIMEOUT_S), transaction(connection):
                pass
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            error_class = classify(error)
            problem = "the database does not answer" if error_class is ErrorClass.CONNECTION else "idle check"
            raise FlushError(f"{problem}: {describe(error)}", error_class) from error

    async def prove(self, rows: int = 1) -> None:
        """Commit something; see ``contract.Writer.prove``."""
        connection = self._connected()
        try:
            async with terminated_on_failure(connection, CHECK_TIMEOUT_S):
                await prove(connection, self.mint_key(), rows)
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            # Read-only is the server that was reached: another may be the primary by now.
            read_only = getattr(error, "sqlstate", None) == READ_ONLY
            error_class = ErrorClass.CONNECTION if read_only else classify(error)
            raise FlushError(f"the database takes no points: {describe(error)}", error_class) from error

    async def housekeep(self) -> None:
        """Beat, forget keys past the window, let the database's own upkeep run, and see how long it keeps points."""
        connection = self._connected()
        try:
            async with terminated_on_failure(connection, FLUSH_TIMEOUT_S):
                async with transaction(connection):
                    await beat(connection)
                give_up_at = time.monotonic() + _EXPIRY_S
                while time.monotonic() < give_up_at:
                    async with transaction(connection):
                        deleted = await expire_keys(connection, self._settings.deduplication_window_min)
                    if not deleted:
                        break
                async with transaction(connection):
                    await connection.execute("SELECT {schema}.maintain()")
                async with transaction(connection):
                    self.retention_us = await read_retention(connection, self._schema)
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            raise FlushError(f"housekeeping: {describe(error)}", classify(error)) from error

    async def close(self) -> None:
        """End the connection, politely if it answers."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_connection(connection)

    async def _check(self, connection: Connection) -> None:
        version = await connection.fetchval(_VERSION)
        if version < REQUIRED_VERSION:
            message = f"schema is at version {version}, {REQUIRED_VERSION} is needed: run `ingestor schema apply`"
            raise FlushError(message, ErrorClass.SCHEMA)
        self._database_ahead_s = await connection.fetchval(_CLOCK) - time.monotonic()
        chunk_us = await connection.fetchval(CHUNK, self._schema)
        if not chunk_us:
            raise FlushError("samples is not a hypertable: run `ingestor schema apply`", ErrorClass.SCHEMA)
        self.chunk_us = chunk_us
        self.retention_us = await read_retention(connection, self._schema)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            raise FlushError("not connected", ErrorClass.CONNECTION)
        return self._connection
