"""Copy rows into ``samples``: all at once, or a block at a time without the rows that the database refuses."""

from collections.abc import Iterator
from typing import BinaryIO, cast

import asyncpg

from ingestor.storage.by_halves import BLOCK_ROWS, insert_by_halves, search_statement
from ingestor.storage.connection import Connection
from ingestor.storage.copy_format import COLUMNS
from ingestor.storage.rows import Rows
from ingestor.storage.sqlstate import is_search_of_use

_INSERT = """
INSERT INTO {schema}.samples (time, series_id, value)
SELECT timestamptz 'epoch' + (one->>0)::bigint * interval '1 microsecond', (one->>1)::bigint, (one->>2)::float8
FROM unnest(block) AS one
"""
_SEARCH = search_statement(_INSERT)
_SEARCH_TO_BLAME = search_statement(_INSERT, to_blame=True)


async def copy_rows(connection: Connection, rows: Rows, first: int, end: int) -> None:
    """COPY rows ``first`` to ``end`` (excluded) into ``samples``."""
    # asyncpg takes ``bytes`` for a file's name; a memoryview it sends as it is, which its stubs do not know.
    source = cast("BinaryIO", rows.encode(first, end))
    await connection.copy_in("samples", source, COLUMNS)


def blocks(rows: Rows) -> Iterator[tuple[int, int]]:
    """Return the blocks of rows that ``copy_block`` takes, first and end."""
    for first in range(0, len(rows), BLOCK_ROWS):
        yield first, min(first + BLOCK_ROWS, len(rows))


async def copy_block(connection: Connection, rows: Rows, first: int, end: int, *, to_blame: bool) -> dict[int, str]:
    """Store the rows of a block but those that the database refuses; return these with the reason.

    ``to_blame`` says that the rows are of a part that is: any error is taken for a row's.

    Raises:
        asyncpg.PostgresError: what the database says has nothing to do with the rows.
    """
    await connection.execute("SAVEPOINT block")
    try:
        await copy_rows(connection, rows, first, end)
    except asyncpg.PostgresError as error:
        if not is_search_of_use(error, to_blame=to_blame):
            raise
        await connection.execute("ROLLBACK TO SAVEPOINT block")
        search = _SEARCH_TO_BLAME if to_blame else _SEARCH
        found = await insert_by_halves(connection, search, rows.as_json(first, end))
        return {first + position: message for position, message in found.items()}
    await connection.execute("RELEASE SAVEPOINT block")
    return {}
