"""Insert rows of which the database refuses some, in the transaction that is open, and find out which.

The server does the search: it halves a block that it refused, each half behind a savepoint, down to single rows. So
neither the number of refused rows nor the language of the messages matters: no message is parsed.
"""

import json
from collections.abc import Iterable, Sequence

from ingestor.storage.connection import Connection
from ingestor.storage.sqlstate import SURROUNDINGS_PATTERN

BLOCK_ROWS = 1_000
"""Most rows of one statement, so that it ends within its time limit on slow machines too: 0.05 s where all are bad."""

_MESSAGE_CHARACTERS = 500

# DO takes no parameters, so the rows come in a setting; the answer goes back in another. The transaction ends both.
_HAND_OVER = "SELECT set_config('ingestor.rows', $1, true)"
_SEARCH = """
DO $search$
DECLARE
    rows     json[]    := ARRAY(SELECT json_array_elements(current_setting('ingestor.rows')::json));
    firsts   integer[] := ARRAY[1];
    lasts    integer[] := ARRAY[cardinality(rows)];
    refused  jsonb     := '[]';
    top      integer   := 1;
    again    integer   := 0;
    began    timestamptz;
    block    json[];
    first_   integer;
    last_    integer;
BEGIN
    WHILE top > 0 LOOP
        first_ := firsts[top];
        last_ := lasts[top];
        block := rows[first_:last_];
        top := top - 1;
        began := clock_timestamp();
        BEGIN
            %(insert)s;
        EXCEPTION WHEN OTHERS OR assert_failure OR query_canceled THEN
            IF %(not_of_a_row)s THEN
                RAISE;
            ELSIF first_ < last_ THEN
                firsts[top + 1] := (first_ + last_) / 2 + 1;
                lasts[top + 1] := last_;
                firsts[top + 2] := first_;
                lasts[top + 2] := (first_ + last_) / 2;
                top := top + 2;
            ELSIF %(surroundings)s AND again <> first_ THEN
                again := first_;
                top := top + 1;
            ELSE
                refused := refused || jsonb_build_array(jsonb_build_array(first_ - 1, SQLSTATE || ': ' || SQLERRM));
            END IF;
        END;
    END LOOP;
    PERFORM set_config('ingestor.refused', refused::text, true);
END
$search$
"""
_SURROUNDINGS = f"SQLSTATE ~ '{SURROUNDINGS_PATTERN}'"
_NOT_OF_A_ROW = """
                (SQLSTATE = '25006' AND current_setting('transaction_read_only')::boolean)
                OR (SQLSTATE = '57014' AND clock_timestamp() - statement_timestamp()
                    > 0.9 * nullif(current_setting('statement_timeout'), '0')::interval)
                OR (SQLSTATE = '55P03' AND clock_timestamp() - began
                    > 0.9 * nullif(current_setting('lock_timeout'), '0')::interval)
"""
"""Read-only, a time limit, a lock: what the server says of itself. A trigger may raise the same codes for a row.

A time limit that has struck does not strike the same statement again, and a lock costs each row its time, so the search
has to end.
"""
_ANSWER = "SELECT current_setting('ingestor.refused')"


def search_statement(insert: str, *, to_blame: bool = False, ends_at: Iterable[str] = ()) -> str:
    """Return the search around ``insert``, a statement that inserts the rows of the array ``block``, each as JSON.

    ``to_blame`` takes every error for the row's fault, but for those of the server as a whole and the codes
    ``ends_at``. What a row may have met by chance, such as a statement that an administrator cancels, has to happen to
    it twice.
    """
    not_of_a_row = _NOT_OF_A_ROW if to_blame else _SURROUNDINGS
    for state in ends_at:
        not_of_a_row += f" OR SQLSTATE = '{state}'"
    return _SEARCH % {"insert": insert, "not_of_a_row": not_of_a_row, "surroundings": _SURROUNDINGS}


async def insert_by_halves(
    connection: Connection, search: str, rows: Sequence[Sequence[int | str | dict[str, str]]]
) -> dict[int, str]:
    """Insert ``rows`` (``BLOCK_ROWS`` at most) but those that are refused; return each one's position and the reason.

    Raises:
        asyncpg.PostgresError: what the database says has nothing to do with the rows.
    """
    await connection.execute(_HAND_OVER, json.dumps(rows))
    await connection.execute(search)
    refused = json.loads(await connection.fetchval(_ANSWER))
    return {position: message.splitlines()[0][:_MESSAGE_CHARACTERS] for position, message in refused}
