"""Prove that the database takes points: a real commit, and a sample that is not kept."""

import uuid

import asyncpg

from ingestor.storage.connection import Connection, transaction
from ingestor.storage.contract import ErrorClass
from ingestor.storage.sqlstate import classify

_LOCK_TIMEOUT = "; SET LOCAL lock_timeout = '100ms'; SAVEPOINT sample"
_SAMPLE = "INSERT INTO {schema}.samples (time, series_id, value) SELECT now(), 0, 0 FROM generate_series(1, $1)"
_KEY = "INSERT INTO {schema}.ledger (key, digest, accepted, rejected) VALUES ($1, 0, 0, 0)"
_FORGET = "DELETE FROM {schema}.ledger WHERE key = $1"
_INCONCLUSIVE = (ErrorClass.DATA, ErrorClass.RETRY)
"""A constraint may refuse this sample, somebody may have locked its chunk: others may be stored all the same."""


async def prove(connection: Connection, key: uuid.UUID, rows: int) -> None:
    """Commit a row of the ledger that comes and goes, after ``rows`` samples that are rolled back.

    Raises:
        asyncpg.PostgresError: the database takes no points.
    """
    async with transaction(connection, _LOCK_TIMEOUT):
        try:
            await connection.execute(_SAMPLE, rows)
        except asyncpg.PostgresError as error:
            if classify(error) not in _INCONCLUSIVE:
                raise
        await connection.execute("ROLLBACK TO SAVEPOINT sample")
        await connection.execute(_KEY, key)
        await connection.execute(_FORGET, key)
