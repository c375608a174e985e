"""The only map from database errors to what is done about them.

Source: PostgreSQL documentation, appendix A "Error Codes"; what each fault really raises was found by injecting it.
"""

import asyncpg

from ingestor.storage.contract import ErrorClass

_RETRY = frozenset({"40001", "40P01", "40003", "55P03", "55006", "57014", "25P03", "25P04", "53300"})
_SCHEMA = frozenset({"42P01", "42703", "42501", "42883", "42704", "3F000", "3D000", "0A000", "42P10"})
_CONNECTION = frozenset({"25006", "25P02"})

CONNECTION_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises beside PostgreSQL's own errors when a connection is lost or hangs."""

COMMIT_UNKNOWN = "40003"


def classify(error: BaseException) -> ErrorClass:
    """Return what ``error`` calls for; a DATA class is never returned, see ``is_data_error``."""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return ErrorClass.CONNECTION
    if isinstance(error, asyncpg.PostgresError):
        return _classify_state(error.sqlstate or "")
    if isinstance(error, CONNECTION_ERRORS):
        return ErrorClass.CONNECTION
    return ErrorClass.UNKNOWN


def _classify_state(state: str) -> ErrorClass:
    if state == "53100":
        return ErrorClass.DISK_FULL
    if state in _RETRY:
        return ErrorClass.RETRY
    if state == "53200":
        return ErrorClass.MEMORY
    if state.startswith("54"):
        return ErrorClass.SPLIT
    if state in _CONNECTION or state.startswith(("08", "57P0", "58")):
        return ErrorClass.CONNECTION
    if state in _SCHEMA or state.startswith("28"):
        return ErrorClass.SCHEMA
    return ErrorClass.UNKNOWN


def is_data_error(error: asyncpg.PostgresError) -> bool:
    """Tell whether an error of the COPY into ``samples`` is one row's fault.

    A missing partition is 23514 too, but names no constraint: that is the schema's fault.
    """
    state = error.sqlstate or ""
    if state.startswith("22"):
        return state != "22P04"  # a malformed COPY stream is our fault, not the row's
    return state.startswith("23") and bool(error.constraint_name or error.column_name)
