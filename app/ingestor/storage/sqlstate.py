"""The only map from database errors to what is done about them.

Source: PostgreSQL documentation, appendix A "Error Codes"; what each fault really raises was found by injecting it.
"""

import asyncpg

from ingestor.storage.contract import ErrorClass

_RETRY = frozenset({"40001", "40P01", "40003", "55P03", "55006", "57014", "25P03", "25P04", "53300"})
_SCHEMA = frozenset({"42P01", "42703", "42501", "42883", "42704", "3F000", "3D000", "0A000", "42P10"})
_CONNECTION = frozenset({"25006", "25P02"})
_SURROUNDINGS = (
    *("08", "0A", "0L", "0P", "22P04", "25", "26", "28", "2B", "2D", "34", "3B", "3D", "3F", "40", "42"),
    *("53", "54", "55", "57", "58", "72", "F0", "HV", "XX"),
)
"""Classes, and one code, that are about connections, rights, objects, limits and faults of the server.

Every other code is about what is to be stored, those that a trigger makes up included: a trigger may raise any.
22P04 is a malformed COPY stream: our fault.
"""
SURROUNDINGS_PATTERN = f"^({'|'.join(_SURROUNDINGS)})"
"""The same for PostgreSQL's operator ``~``."""

CONNECTION_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises beside PostgreSQL's own errors when a connection is lost or hangs."""

COMMIT_UNKNOWN = "40003"


def classify(error: BaseException) -> ErrorClass:
    """Return what ``error`` calls for."""
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
    if not state or state.startswith(_SURROUNDINGS):
        return ErrorClass.UNKNOWN
    return ErrorClass.DATA
