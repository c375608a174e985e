"""Database connections in which nothing waits for ever.

Every limit here was added because something hung without it. A session is not relied on: behind a pooler each
transaction may run in another one. So every transaction sets its limits, and every statement names its schema.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ingestor.database_url import DatabaseUrlError, clean_database_url
from ingestor.errors import joined
from ingestor.schema.connect import says_no_user, writer_application
from ingestor.schema.identifiers import quote_identifier
from ingestor.schema.pooler import is_pooled, tracks_statements
from ingestor.schema.tls import explain_files, explain_handshake
from ingestor.schema.writers import show_writer
from ingestor.storage.contract import ErrorClass, FlushError
from ingestor.storage.sqlstate import CONNECTION_ERRORS, classify

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
FLUSH_TIMEOUT_S = 60.0
"""Longest flush; must stay below the 5 minutes between a key's expiry and its deletion, see ``ledger``."""
CLOSE_TIMEOUT_S = 1.0

_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "client_connection_check_interval": "5s",
    "jit": "off",
}
"""Of each transaction."""
_KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""Of a session that is ours: the database gives the connections of a machine that is gone free."""
_APPLICATION = "analytics-ingestor"


class Connection(asyncpg.Connection):
    """A connection whose statements write our schema as ``{schema}``."""

    schema = ""
    pooled = False
    keeps_statements = True
    begin = "BEGIN"
    """What begins a transaction, see ``settle``."""

    async def settle(self, schema: str) -> None:
        """Find out whether a pooler is in between, and have every transaction set what it needs.

        In the message that begins it, so that it costs no round trip: the isolation level that the ledger relies on,
        the limits, the names that triggers of others find, and that no constraint waits for COMMIT, which could not
        tell the point that it refuses from the others. In a session of our own the rest is set once; behind a
        pooler a drop sees us by a lock instead.
        """
        self.schema = schema
        self.pooled = await is_pooled(self)
        self.keeps_statements = not self.pooled or await tracks_statements(self)
        if not self.pooled:
            own = _KEEPALIVES | {"application_name": writer_application(schema)}
            await self.execute("; ".join(f"SET {name} = '{value}'" for name, value in own.items()))
        limits = "".join(f"; SET LOCAL {name} = '{value}'" for name, value in _LIMITS.items())
        names = f"SET LOCAL search_path = {quote_identifier(schema)}"
        presence = f"; {show_writer(schema)}" if self.pooled else ""
        at_once = "SET CONSTRAINTS ALL IMMEDIATE"
        self.begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; {at_once}; {names}{limits}{presence}"

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run ``query`` and return its command tag."""
        return str(await super().execute(self._named(query), *args, timeout=timeout))

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:  # type: ignore[override]
        """Return the rows of ``query``."""
        return list(await super().fetch(self._named(query), *args))

    async def fetchval(self, query: str, *args: Any) -> Any:  # type: ignore[override]
        """Return the first value of the first row of ``query``, None where there is no row."""
        return await super().fetchval(self._named(query), *args)

    async def copy_in(self, table: str, source: Any, columns: Sequence[str]) -> None:
        """COPY rows in the binary format into a table of our schema."""
        await self.copy_to_table(table, schema_name=self.schema, source=source, columns=columns, format="binary")

    def _named(self, query: str) -> str:
        return query.replace("{schema}", quote_identifier(self.schema))


async def open_connection(url: str, schema: str) -> Connection:
    """Connect directly or through a pooler; transactions begin with ``Connection.begin``.

    Where a pooler does not track prepared statements none is kept: each statement takes one more round trip.

    Raises:
        FlushError: it can't be done; the text has no secrets.
    """
    try:
        url = clean_database_url(url)
    except DatabaseUrlError as error:
        raise FlushError(f"can't connect: {error}", ErrorClass.SCHEMA) from None
    try:
        async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
            connection = await _open(url, schema)
            if connection.keeps_statements:
                return connection
            await close_connection(connection)
            return await _open(url, schema, statement_cache_size=0)
    except (asyncpg.PostgresError, ValueError, AttributeError, KeyError, *CONNECTION_ERRORS) as error:
        raise _explain_connecting(error, url) from error


async def _open(url: str, schema: str, **options: Any) -> Connection:
    connection: Connection = await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"application_name": _APPLICATION},
        connection_class=Connection,
        **options,
    )
    try:
        await connection.settle(schema)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _explain_connecting(error: Exception, url: str) -> FlushError:
    if trouble := explain_handshake(error) or explain_files(error, url):
        return FlushError(f"can't connect: {trouble}", ErrorClass.SCHEMA)
    if says_no_user(error):
        return FlushError("can't connect: neither the database URL nor PGUSER names a user", ErrorClass.SCHEMA)
    if isinstance(error, ValueError | AttributeError):  # an unusable DSN; the text may hold the password
        return FlushError("can't connect: the database URL is malformed", ErrorClass.SCHEMA)
    return FlushError(f"can't connect: {describe(error)}", classify(error))


def describe(error: BaseException) -> str:
    """Return an error for a log line: class, SQLSTATE and message."""
    state = getattr(error, "sqlstate", None)
    return joined(f"{type(error).__name__}{f' {state}' if state else ''}", str(error).strip())


@asynccontextmanager
async def terminated_on_failure(connection: Connection, timeout_s: float) -> AsyncIterator[None]:
    """End the connection at once where the body takes too long, is cancelled, or fails unexpectedly.

    ``terminate()`` only: ``close()`` and ROLLBACK talk to a server that may not answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except asyncpg.PostgresError as error:
        if classify(error) is ErrorClass.CONNECTION:
            connection.terminate()
        raise
    except FlushError:  # raised where the transaction has been ended in order
        raise
    except BaseException:
        connection.terminate()
        raise


@asynccontextmanager
async def transaction(connection: Connection, settings: str = "") -> AsyncIterator[None]:
    """Run the body in a transaction of its own, with every limit and ``settings``, further statements.

    COMMIT ends it, or ROLLBACK where the database refused something; anything else leaves the end to
    ``terminated_on_failure``.

    Raises:
        FlushError: COMMIT did not commit.
    """
    try:
        await connection.execute(connection.begin + settings)
        yield
    except asyncpg.PostgresError as error:
        if classify(error) is not ErrorClass.CONNECTION:
            await connection.execute("ROLLBACK")
        raise
    status = await connection.execute("COMMIT")
    if status != "COMMIT":
        raise FlushError(f"COMMIT was answered by {status}", ErrorClass.UNKNOWN)


async def close_connection(connection: Connection) -> None:
    """Close politely for a moment, then at once."""
    try:
        await connection.close(timeout=CLOSE_TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
