"""Set aside the rows that the database refuses, inside the flush's one transaction.

The error's CONTEXT names the line: rows before it are copied again, it is set aside, the rest goes on. Savepoints
keep the transaction alive. Where no line is given, the part is halved.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import asyncpg

from ingestor.points import Reject
from ingestor.storage.connection import Connection
from ingestor.storage.contract import ErrorClass, FlushError
from ingestor.storage.copy_format import COLUMNS
from ingestor.storage.rows import Rows
from ingestor.storage.sqlstate import is_data_error

MAX_REFUSED_ROWS = 1_000
MAX_REFUSING_S = 5.0
ALL_REFUSED_ROWS = 100
"""A flush of at least so many rows that are all refused points to the schema, not to the data."""

_LINE = re.compile(r"\bline (\d+)")


class RowRefusedError(Exception):
    """The database refused a row of a plain COPY; ``copy_setting_aside`` finds out which ones."""


@dataclass(slots=True)
class SetAside:
    """Rows that the database refused, by position in the rows sent."""

    rejects: list[tuple[int, Reject]] = field(default_factory=list)

    def rows_of(self, part: int) -> tuple[Reject, ...]:
        """Return the refused points of one part."""
        return tuple(reject for owner, reject in self.rejects if owner == part)


async def copy_rows(connection: Connection, rows: Rows, first: int, end: int) -> None:
    """COPY rows ``first`` to ``end`` (excluded) into ``samples``."""
    # asyncpg takes ``bytes`` for a file's name; a memoryview it sends as it is, which its stubs do not know.
    source = cast("BinaryIO", rows.encode(first, end))
    await connection.copy_in("samples", source, COLUMNS)


async def copy_all(connection: Connection, rows: Rows) -> SetAside:
    """COPY all rows, the way without faults.

    Raises:
        RowRefusedError: the database refused one; the transaction must go back to before.
    """
    try:
        await copy_rows(connection, rows, 0, len(rows))
    except asyncpg.PostgresError as error:
        if is_data_error(error):
            raise RowRefusedError from error
        raise
    return SetAside()


async def copy_setting_aside(
    connection: Connection, rows: Rows, clock: Callable[[], float] = time.monotonic
) -> SetAside:
    """COPY all rows but those that the database refuses.

    Raises:
        FlushError: too many are refused for one flush (SPLIT), or all of them are (SCHEMA).
    """
    aside = SetAside()
    give_up_at = clock() + MAX_REFUSING_S
    waiting = [(0, len(rows))]
    while waiting:
        first, end = waiting.pop()
        if first == end:
            continue
        error = await _try_copy(connection, rows, first, end)
        if error is None:
            continue
        refused = _refused_row(error, first, end)
        if refused is None:
            middle = (first + end) // 2
            waiting += [(middle, end), (first, middle)]
            continue
        aside.rejects.append(rows.reject(refused, "refused_by_database", _reason(error)))
        if len(aside.rejects) > MAX_REFUSED_ROWS or clock() > give_up_at:
            raise FlushError(f"{len(aside.rejects)} rows refused: {_reason(error)}", ErrorClass.SPLIT)
        waiting += [(refused + 1, end), (first, refused)]
    if len(aside.rejects) == len(rows) >= ALL_REFUSED_ROWS:
        raise FlushError(f"all rows refused: {aside.rejects[0][1].message}", ErrorClass.SCHEMA)
    return aside


async def _try_copy(connection: Connection, rows: Rows, first: int, end: int) -> asyncpg.PostgresError | None:
    await connection.execute("SAVEPOINT part")
    try:
        await copy_rows(connection, rows, first, end)
    except asyncpg.PostgresError as error:
        if not is_data_error(error):
            raise
        await connection.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
        return error
    await connection.execute("RELEASE SAVEPOINT part")
    return None


def _refused_row(error: asyncpg.PostgresError, first: int, end: int) -> int | None:
    if end - first == 1:
        return first
    found = _LINE.search(error.context or "")
    if found is None:
        return None
    row = first + int(found.group(1)) - 1
    return row if first <= row < end else None


def _reason(error: asyncpg.PostgresError) -> str:
    return f"{error.sqlstate}: {error}".splitlines()[0][:500]
