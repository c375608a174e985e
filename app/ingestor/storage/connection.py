"""Database connections in which nothing waits for ever.

Every limit here was added because something hung without it. Connections are dedicated, never pooled: a pool's
reset costs a round trip and forgets settings.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from ingestor.errors import joined
from ingestor.schema.connect import says_no_user, writer_application
from ingestor.schema.tls import explain_files, explain_handshake
from ingestor.storage.contract import ErrorClass, FlushError
from ingestor.storage.sqlstate import CONNECTION_ERRORS, classify

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
FLUSH_TIMEOUT_S = 60.0
"""Longest flush; must stay below the 5 minutes between a key's expiry and its deletion, see ``ledger``."""
CLOSE_TIMEOUT_S = 1.0

_SERVER_SETTINGS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_connection_check_interval": "5s",
    "jit": "off",
}

Connection = asyncpg.Connection


async def open_connection(url: str, schema: str) -> Connection:
    """Connect with every time limit set and ``schema`` alone on the search path.

    Raises:
        FlushError: it can't be done; the text has no secrets.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=_SERVER_SETTINGS | {"search_path": schema, "application_name": writer_application(schema)},
        )
    except (asyncpg.PostgresError, ValueError, AttributeError, KeyError, *CONNECTION_ERRORS) as error:
        raise _explain_connecting(error, url) from error


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


async def close_connection(connection: Connection) -> None:
    """Close politely for a moment, then at once."""
    try:
        await connection.close(timeout=CLOSE_TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
