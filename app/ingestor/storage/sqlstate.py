"""The only map from database errors to what is done about them.

Source: PostgreSQL documentation, appendix A "Error Codes"; what each fault really raises was found by injecting it.
"""

import asyncpg

from ingestor.storage.contract import ErrorClass

_RETRY = frozenset({"40001", "40P01", "40003", "55P03", "55006", "57014", "25P03", "25P04", "53300"})
_SCHEMA = frozenset({"42P01", "42703", "42501", "42883", "42704", "3F000", "3D000", "0A000", "42P10"})
_LOST = ("08", "57P0", "58")
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
READ_ONLY = "25006"
_DISK_FULL = "53100"
_OUT_OF_MEMORY = "53200"
SHORT_OF_ROOM = (_DISK_FULL, _OUT_OF_MEMORY)
"""What passes once the server has its disk or memory again, as a rule after seconds."""


def classify(error: BaseException) -> ErrorClass:
    """Return what ``error`` calls for.

    What the database answers as a mere error, on a connection that goes on, says nothing of the connection: a trigger
    may raise any code.
    """
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        lost = isinstance(error, asyncpg.PostgresConnectionError) or state.startswith(_LOST)
        if lost and not goes_on(error):
            return ErrorClass.CONNECTION
        return ErrorClass.UNKNOWN if lost else _classify_state(state)
    if isinstance(error, CONNECTION_ERRORS):
        return ErrorClass.CONNECTION
    return ErrorClass.UNKNOWN


def is_search_of_use(error: asyncpg.PostgresError, *, to_blame: bool) -> bool:
    """Return True if a search for rows that are refused may help, on the connection that ``error`` came from.

    ``to_blame`` says that what was sent failed again and again while others were stored: any error may be a row's, if
    only the connection goes on.
    """
    return goes_on(error) if to_blame else classify(error) is ErrorClass.DATA


def goes_on(error: asyncpg.PostgresError) -> bool:
    """Return True if the database answered with a mere error, after which the connection takes further statements."""
    severity: str | None = getattr(error, "severity_en", None)
    return severity == "ERROR"


def _classify_state(state: str) -> ErrorClass:
    if state == _DISK_FULL:
        return ErrorClass.DISK_FULL
    if state in _RETRY:
        return ErrorClass.RETRY
    if state == _OUT_OF_MEMORY:
        return ErrorClass.MEMORY
    if state.startswith("54"):
        return ErrorClass.SPLIT
    if state in _SCHEMA or state.startswith("28"):
        return ErrorClass.SCHEMA
    if not state or state.startswith(_SURROUNDINGS):
        return ErrorClass.UNKNOWN
    return ErrorClass.DATA
