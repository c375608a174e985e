"""A search finds the rows that are refused, whatever the database says of them; what it says of itself is no row's."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ingestor.storage.by_halves import insert_by_halves, search_statement
from ingestor.storage.connection import Connection, close_connection, open_connection, transaction
from support.database import Database
from support.obstacles import locked

_INSERT = "INSERT INTO numbers SELECT (one->>0)::int FROM unnest(block) AS one"
_TO_BLAME = search_statement(_INSERT, to_blame=True)
_ROWS = [(number,) for number in range(100)]
_BAD = 41
_STATES = {state for name in asyncpg.exceptions.__all__ if (state := getattr(getattr(asyncpg, name), "sqlstate", None))}

_SETUP = """
CREATE TEMP TABLE numbers (number int);
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON numbers FOR EACH ROW WHEN (NEW.number = {bad}) EXECUTE FUNCTION pg_temp.refuse()
"""
_RAISE = "RAISE EXCEPTION 'not with me' USING ERRCODE = current_setting('test.state');"


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    connection = await open_connection(database.admin_url, "analytics")
    yield connection
    await close_connection(connection)


async def _search(connection: Connection, search: str = _TO_BLAME, settings: str = "") -> tuple[dict[int, str], int]:
    """Return the rows that are refused, with the reasons, and the number of rows that are stored."""
    async with transaction(connection, f"{settings}; SET LOCAL search_path = pg_temp, public"):
        refused = await insert_by_halves(connection, search, _ROWS)
        return refused, await connection.fetchval("SELECT count(*) FROM numbers")


async def test_the_row_to_blame_is_found_whatever_is_raised_for_it(connection: Connection) -> None:
    await connection.execute(_SETUP.format(body=_RAISE, bad=_BAD))
    assert {"57014", "25006", "40003", "08006", "53100", "P0004", "XX000"} <= _STATES
    for number, state in enumerate(sorted(_STATES), start=1):
        await connection.execute(f"SET test.state = '{state}'")
        assert await _search(connection) == ({_BAD: f"{state}: not with me"}, number * 99), state


async def test_a_cancelled_statement_is_no_row_s_fault_until_one_is_to_blame(connection: Connection) -> None:
    await connection.execute(_SETUP.format(body=_RAISE, bad=_BAD) + "; SET test.state = '57014'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await _search(connection, search_statement(_INSERT))
    assert (await _search(connection))[1] == 99


async def test_the_time_limit_ends_a_search(connection: Connection) -> None:
    await connection.execute(_SETUP.format(body="PERFORM pg_sleep(60);", bad=_BAD))
    with pytest.raises(asyncpg.QueryCanceledError):
        await _search(connection, settings="; SET LOCAL statement_timeout = '300ms'")


async def test_a_read_only_database_is_no_row_s_fault(connection: Connection) -> None:
    await connection.execute("CREATE TABLE analytics.numbers (number int)")
    search = search_statement(_INSERT.replace("numbers", "analytics.numbers"), to_blame=True)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await _search(connection, search, settings="; SET LOCAL transaction_read_only = on")


async def test_a_code_at_which_it_is_to_end_is_no_row_s_fault(connection: Connection) -> None:
    await connection.execute(_SETUP.format(body=_RAISE, bad=_BAD) + "; SET test.state = '53100'")
    with pytest.raises(asyncpg.DiskFullError):
        await _search(connection, search_statement(_INSERT, to_blame=True, ends_at=("53200", "53100")))
    await connection.execute("SET test.state = '53400'")
    assert (await _search(connection, search_statement(_INSERT, to_blame=True, ends_at=("53200", "53100"))))[1] == 99


async def test_a_lock_is_waited_for_once_and_not_by_each_row(database: Database, connection: Connection) -> None:
    await connection.execute("CREATE TABLE analytics.numbers (number int)")
    search = search_statement(_INSERT.replace("numbers", "analytics.numbers"), to_blame=True)
    async with locked(database, "analytics.numbers"):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await _search(connection, search, "; SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '10s'")


@pytest.mark.parametrize("state", ["57014", "40P01", "40001", "55P03", "53200"])
async def test_what_a_row_meets_by_chance_does_not_refuse_it(connection: Connection, state: str) -> None:
    await connection.execute(f"CREATE TEMP SEQUENCE met; SET test.state = '{state}'")  # a sequence rolls nothing back
    blocks = 8  # of 100, 50, 25, 12, 6, 3 and 2 rows, then the row alone
    body = f"IF nextval('pg_temp.met') <= {blocks} THEN {_RAISE} END IF;"
    await connection.execute(_SETUP.format(body=body, bad=_BAD))
    assert await _search(connection) == ({}, 100)
