"""One direct connection with time limits, and the database's errors in words that say what to do."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from ingestor.database_url import INVALID, DatabaseUrlError, clean_database_url, hosts_of
from ingestor.errors import IngestorError
from ingestor.schema.faults import (
    AuthenticationFailedError,
    DatabaseMissingError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DirectConnectionNeededError,
    LockBusyError,
    ReadOnlyError,
    RightsMissingError,
    SchemaError,
    StepTimeoutError,
    TlsFailedError,
)
from ingestor.schema.pooler import is_pooled
from ingestor.schema.tls import explain_files, explain_handshake

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 2.0

_AWAY_STATES = re.compile(r"08...|57P0.|53300|58...")
_LOCK_STATES = frozenset({"55P03", "40P01", "40001", "55006"})

_SESSION = {
    "search_path": "pg_catalog",
    "array_nulls": "on",
    "bytea_output": "hex",
    "check_function_bodies": "on",
    "DateStyle": "ISO, MDY",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "0",
    "IntervalStyle": "postgres",
    "lock_timeout": "0",
    "quote_all_identifiers": "off",
    "row_security": "on",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "TimeZone": "GMT",
    "transform_null_equals": "off",
}
"""Server settings on which the engine depends, whatever was set for the role or the database.

Not ``default_transaction_read_only``: who sets that wants no changes. Not ``lc_messages``: it takes a superuser, so no
message is ever read for its meaning. Limits of statements are set where they run.
"""

_NO_TRANSACTION_TIMEOUT = """
SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) <> '0'
"""
"""PostgreSQL has it since 17, and older ones refuse a connection that sets what they do not know.

Not asked of ``pg_settings``, which computes every setting: milliseconds of each connection.
"""

CONNECTION_FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)


@asynccontextmanager
async def connected(url: str, application: str, settings: dict[str, str] | None = None) -> AsyncIterator[Connection]:
    """Open a direct connection and close it in the end, whatever happens in between.

    ``settings`` are server settings beside ``_SESSION``. The search path is pinned, so that nothing another user put
    into a schema of his own is ever called with our rights.

    Raises:
        DirectConnectionNeededError: a connection pooler is in between.
        DatabaseUnavailableError: the database cannot be reached, is starting, or went away meanwhile.
        DatabaseRefusedError: the URL, the password, the database's name or a certificate is wrong; see its subclasses.
        IngestorError: what ``explain`` makes of any other error of the database inside the block.
    """
    connection = await _open_directly(url, application, {**_SESSION, **(settings or {})})
    try:
        await connection.execute(_NO_TRANSACTION_TIMEOUT)
        yield connection
    except (asyncpg.PostgresError, *CONNECTION_FAILURES) as error:
        raise explain(error, place_of(url)) from error
    finally:
        await _close(connection)


async def try_login(url: str, application: str) -> None:
    """Log in, directly or through a pooler.

    Raises:
        SchemaTransientError: the database cannot be reached.
        DatabaseRefusedError: see ``connected``.
    """
    await _close(await _open(url, {"application_name": application}))


def writer_application(schema: str) -> str:
    """Return what servers that write to ``schema`` call their connections, so that a drop can see them."""
    return f"analytics-ingestor/{schema}"


def place_of(url: str) -> str:
    """Return host, port and database of a URL, without user and password."""
    try:
        clean = clean_database_url(url)
    except DatabaseUrlError:
        return "the database"
    return f"{hosts_of(clean)}{urlsplit(clean).path}"


def explain(error: BaseException, place: str) -> IngestorError:
    """Return our error for what asyncpg or the network raised at ``place``."""
    state = getattr(error, "sqlstate", None) or ""
    text = _first_line(error)
    if isinstance(error, asyncpg.InvalidPasswordError) or state.startswith("28"):
        return AuthenticationFailedError(f"{place} refuses this user: {text}; check user, password and pg_hba.conf")
    if state == "3D000":
        return DatabaseMissingError(f"{place}: {text}; create it, or correct the URL")
    if state in _LOCK_STATES:
        return LockBusyError(f"{place}: {text}; a long transaction is in the way, try again later")
    if state == "57014":
        return StepTimeoutError(f"{place}: {text}; try again at a quieter time")
    if state == "42501":
        return RightsMissingError(f"{place}: {text}; connect as the schema's owner, or run `ingestor schema bootstrap`")
    if state == "25006":
        text = "takes no changes: it is a standby, or default_transaction_read_only is on for this role or database"
        return ReadOnlyError(f"{place} {text}; connect to the primary, or turn it off there")
    if trouble := explain_handshake(error):
        return TlsFailedError(f"{place}: {trouble}")
    if _AWAY_STATES.fullmatch(state) or isinstance(error, CONNECTION_FAILURES):
        return DatabaseUnavailableError(_describe_away(error, state, place, text))
    return SchemaError(f"{place}: {full_words(error)} (SQLSTATE {state or 'unknown'})")


def _describe_away(error: BaseException, state: str, place: str, text: str) -> str:
    if state == "53300":
        return f"{place} has no connection free: {text}; raise max_connections, or the limit of the role or database"
    if isinstance(error, asyncpg.ProtocolViolationError):  # a pooler's word for all that it refuses
        advice = "check user, password and database, and the pooler's settings if there is one"
        return f"{place} refuses the connection: {text}; {advice}"
    return f"{place} cannot be reached: {text}; check host, port and that it runs"


def explain_connecting(error: BaseException, url: str) -> IngestorError:
    """Return our error for what connecting to ``url`` raised."""
    if says_no_user(error):
        return AuthenticationFailedError(f"{place_of(url)}: no user is named; write it into the URL, or set PGUSER")
    if trouble := explain_handshake(error) or explain_files(error, url):
        return TlsFailedError(f"{place_of(url)}: {trouble}")
    if isinstance(error, ValueError | AttributeError):
        # The text may hold the password, of which an unencoded slash or at sign is the usual cause.
        return DatabaseRefusedError(INVALID)
    return explain(error, place_of(url))


def says_no_user(error: BaseException) -> bool:
    """Tell whether connecting failed for want of a user: none is given, and the machine has no name for ours."""
    # getpass's errors, before and since Python 3.13.
    return isinstance(error, KeyError) or (isinstance(error, OSError) and "No username set" in str(error))


async def _open_directly(url: str, application: str, settings: dict[str, str]) -> Connection:
    name = {"application_name": application}
    refusal: IngestorError | None = None
    try:
        connection = await _open(url, name | settings)
    except IngestorError as error:
        if not isinstance(error.__cause__, asyncpg.ProtocolViolationError):
            raise
        # In this class PgBouncer refuses settings that it does not know.
        connection, refusal = await _open(url, name), error
    try:
        if await is_pooled(connection):
            text = f"{place_of(url)} is a connection pooler; name the database server itself"
            refusal = DirectConnectionNeededError(f"{text}: this needs a direct connection")
    except (asyncpg.PostgresError, *CONNECTION_FAILURES) as error:
        refusal = explain(error, place_of(url))
    if refusal is not None:
        await _close(connection)
        raise refusal
    return connection


async def _open(url: str, settings: dict[str, str]) -> Connection:
    try:
        clean = clean_database_url(url)
    except DatabaseUrlError as error:
        raise DatabaseRefusedError(str(error)) from None
    try:
        return await asyncpg.connect(
            clean, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S, server_settings=settings
        )
    except (asyncpg.PostgresError, ValueError, KeyError, *CONNECTION_FAILURES) as error:
        explained = explain_connecting(error, url)
        raise explained from (None if isinstance(error, ValueError) else error)


async def _close(connection: Connection) -> None:
    """Say good-bye within a deadline; a connection in an unknown state is cut."""
    try:
        if connection.is_in_transaction():
            connection.terminate()
        else:
            await connection.close(timeout=CLOSE_TIMEOUT_S)
    except (*CONNECTION_FAILURES, asyncpg.PostgresError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise


def full_words(error: BaseException) -> str:
    """Return what the database says: the message, its hint, and the function that raised it."""
    hint, context = (str(getattr(error, name, None) or "").splitlines() for name in ("hint", "context"))
    where = [f"in {context[0]}"] if context else []
    return "; ".join([_first_line(error), *hint[:1], *where])


def _first_line(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
