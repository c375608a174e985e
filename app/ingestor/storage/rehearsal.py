"""Be a pod for a moment: connect as one does, write what one writes, and take it back.

So what would keep a server from working shows here: settings that a pooler refuses, read-only transactions, a missing
right, a full disk, a trigger or a constraint of somebody else.
"""

import time
import uuid
from collections.abc import Awaitable, Callable

import asyncpg
import numpy as np

from ingestor.database_url import DatabaseUrlError, clean_database_url
from ingestor.keys import mint_key
from ingestor.schema.connect import explain, explain_connecting, full_words, place_of
from ingestor.schema.identifiers import check_schema_name
from ingestor.schema.preflight import Finding, inspect
from ingestor.storage.connection import (
    COMMAND_TIMEOUT_S,
    Connection,
    close_connection,
    open_connection,
    terminated_on_failure,
)
from ingestor.storage.contract import PAGE_ROWS, ErrorClass, FlushError
from ingestor.storage.copy_format import COLUMNS, encode_rows
from ingestor.storage.ledger import Entry, beat, claim_keys, correct_entries, read_floor
from ingestor.storage.sqlstate import CONNECTION_ERRORS, classify
from ingestor.storage.writer import CHUNK

_NAME = "ingestor-check"
_SERIES = """
INSERT INTO {schema}.series (id, digest, service_name, metric_name, labels) VALUES ($1, $2, $3, $3, '{}')
"""
_REJECT = "INSERT INTO {schema}.rejects (pod, reason, field, message, point) VALUES ($1, $1, '', '', '{}')"
_ADVICE = {
    "42501": "connect as the writer, or repair its rights with `ingestor schema apply`; if that has nothing to do,"
    " somebody turned row-level security on: ALTER TABLE … DISABLE ROW LEVEL SECURITY",
    "53100": "make room on the database's disk",
    "25006": "connect to the primary",
    "55P03": "somebody holds a lock: look at pg_locks, and try again",
    "57014": "it takes too long: look at pg_stat_activity, and try again",
    "53200": "raise max_locks_per_transaction",
}
_OTHER_ADVICE = "a constraint, a trigger or a change of somebody else is in the way: undo it"


async def rehearse(url: str, schema: str, connections: int = 1) -> list[Finding]:
    """Return what is well, doubtful and wrong for a pod with so many connections that writes to ``schema``.

    Never raises for what the database says: that is a finding.

    Raises:
        ValueError: ``schema`` is no name that we take.
    """
    check_schema_name(schema)
    try:
        url = clean_database_url(url)
    except DatabaseUrlError as error:
        return [Finding("problem", "connection", str(error))]
    findings: list[Finding] = []
    opened: list[Connection] = []
    try:
        for number in range(1, connections + 1):
            try:
                opened.append(await open_connection(url, schema))
            except FlushError as error:
                findings.append(_not_connected(error, url, number))
                break
        if opened:
            findings += await _look(opened[0], url, connections)
    finally:
        for connection in opened:
            await close_connection(connection)
    return findings


def _not_connected(error: FlushError, url: str, number: int) -> Finding:
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    text = str(explain_connecting(cause, url))
    return Finding("problem", "connection", text if number == 1 else f"connection {number} of a pod: {text}")


async def _look(connection: Connection, url: str, connections: int) -> list[Finding]:
    findings = [Finding("ok", "connection", "the database answers and takes the password"), *_pooler(connection)]
    try:
        async with terminated_on_failure(connection, COMMAND_TIMEOUT_S):
            await connection.execute(connection.begin)
            findings += await inspect(connection, connection.schema, connections)
            problems = {finding.topic for finding in findings if finding.level == "problem"}
            if not problems & {"server", "schema", "timescaledb"}:
                refused = await _write(connection)
                # Missing rights have been named already, and a schema that may not be used hides its tables.
                known = ("42501", "") if "rights" in problems else ()
                findings += [finding for state, finding in refused if state not in known]
                if not refused:
                    text = "series, points, keys, a beat and rejects can be stored (tried, and taken back)"
                    findings.append(Finding("ok", "writes", text))
            await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
        findings.append(Finding("problem", "connection", str(explain(error, place_of(url)))))
    return findings


def _pooler(connection: Connection) -> list[Finding]:
    if not connection.pooled:
        return []
    text = "a connection pooler is in between"
    if not connection.keeps_statements:
        text += (
            "; it does not track prepared statements, which costs a round trip a flush: PgBouncer 1.21 or later does in"
            " transaction mode, with max_prepared_statements above 0"
        )
    return [Finding("ok", "pooler", text)]


async def _write(connection: Connection) -> list[tuple[str, Finding]]:
    """Write what a pod writes and return SQLSTATE and finding for each thing that the database refuses.

    Raises:
        asyncpg.PostgresError: the connection is lost.
    """
    refused = []
    for what, write in _WRITES.items():
        await connection.execute("SAVEPOINT rehearsal")
        try:
            await write(connection)
        except FlushError as error:
            refused.append(("", Finding("problem", "writes", str(error))))
        except asyncpg.PostgresError as error:
            if classify(error) is ErrorClass.CONNECTION and error.sqlstate not in _ADVICE:
                raise
            await connection.execute("ROLLBACK TO SAVEPOINT rehearsal")
            state = error.sqlstate or ""
            text = f"{what}: refused with {state}: {full_words(error)}"
            refused.append((state, Finding("problem", "writes", f"{text}; {_ADVICE.get(state, _OTHER_ADVICE)}")))
    return refused


async def _write_series(connection: Connection) -> None:
    key = uuid.uuid4()
    await connection.execute(_SERIES, int.from_bytes(key.bytes[:8], "big", signed=True), key.bytes, _NAME)


async def _write_points(connection: Connection) -> None:
    """Store rows of now, and one of the next chunk, as the coming day will need."""
    now_us = time.time_ns() // 1_000
    times_us = np.full(PAGE_ROWS, now_us, np.int64)
    chunk_us = await connection.fetchval(CHUNK, connection.schema)
    if chunk_us is None:
        raise FlushError("samples is not a hypertable: run `ingestor schema apply`", ErrorClass.SCHEMA)
    times_us[-1] += chunk_us
    series_id = int.from_bytes(uuid.uuid4().bytes[:8], "big", signed=True)
    rows = encode_rows(np.full(PAGE_ROWS, series_id, np.int64), times_us, np.ones(PAGE_ROWS))
    await connection.copy_in("samples", rows, COLUMNS)


async def _write_keys(connection: Connection) -> None:
    entry = Entry(mint_key(), 0, 0, 0)
    await claim_keys(connection, [entry])
    await correct_entries(connection, [entry])


async def _write_beat(connection: Connection) -> None:
    await beat(connection)
    await read_floor(connection, 0)


async def _write_reject(connection: Connection) -> None:
    await connection.execute(_REJECT, _NAME)


async def _keep_house(connection: Connection) -> None:
    await connection.execute("SELECT {schema}.maintain()")


_WRITES: dict[str, Callable[[Connection], Awaitable[None]]] = {
    f"a series of service {_NAME}": _write_series,
    "points of value 1": _write_points,
    "an idempotency key": _write_keys,
    "the minute's beat": _write_beat,
    "a rejected point": _write_reject,
    "housekeeping": _keep_house,
}
