"""The database of ``ingestor dev``: it ends with its block, on Ctrl-C too, and survives a process that is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from ingestor.local import InstanceBusyError, running_database
from ingestor.local.account import server_account
from ingestor.local.postmaster import processes_of
from support.database import Database, DatabaseServer, PrivateServer, find_native
from support.eventually import HANG_S, eventually

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
import asyncpg
from ingestor.local import running_database
from support.database import find_native

async def main():
    where = {"instance": sys.argv[2], "given_url": None, "find": find_native}
    async with running_database(Path(sys.argv[1]), say=str, **where) as database:
        print(database.admin_url, flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            connection = await asyncpg.connect(database.admin_url)
            await connection.execute("CREATE TABLE drained ()")
            await connection.close()
            print("drained", flush=True)

# What was started in the background ignores Ctrl-C, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


@pytest.fixture
def instance(directory: Path, database_server: DatabaseServer) -> str:
    """Return the name of the instance that is kept in ``directory``."""
    return _instance_in(directory, database_server)


def _instance_in(directory: Path, database_server: DatabaseServer) -> str:
    return directory.name.removesuffix(f"-pg{database_server.installation.major}")


@asynccontextmanager
async def _other_process(
    directory: Path, instance: str, **variables: str
) -> AsyncIterator[tuple["subprocess.Popen[str]", str]]:
    """Run the database in another process; give that and the database's URL once it is up."""
    process = _spawn(directory, instance, **variables)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert url, await asyncio.to_thread(process.stderr.read)
        yield process, url
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


def _spawn(directory: Path, instance: str, **variables: str) -> "subprocess.Popen[str]":
    """Start it in a session of its own, as in a terminal: a Ctrl-C there reaches all that did not leave it."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory.parent.parent), instance],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )


def _servers(directory: Path) -> list[psutil.Process]:
    return processes_of(directory / "data", server_account().uid)


async def _value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=HANG_S)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _ignore(text: str) -> None:
    """Stand in for a terminal that nobody reads."""


async def _run_once(cache: Path, instance: str) -> str:
    async with running_database(cache, instance=instance, given_url=None, say=_ignore, find=find_native) as database:
        return database.admin_url


async def test_the_database_has_timescaledb_is_told_and_ends_with_the_block(
    new_directory: Path, database_server: DatabaseServer
) -> None:
    said: list[str] = []
    directory, cache = new_directory, new_directory.parent.parent
    instance = _instance_in(directory, database_server)
    async with running_database(
        cache, instance=instance, given_url=None, say=said.append, find=find_native
    ) as database:
        assert await _value(database.admin_url, "SELECT current_database()") == "ingestor"
        assert await _value(database.admin_url, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        assert any(database.description in line for line in said)
    assert _servers(directory) == []


async def test_an_error_in_the_block_stops_the_server_too(directory: Path, instance: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running_database(
            directory.parent.parent, instance=instance, given_url=None, say=_ignore, find=find_native
        ):
            raise ZeroDivisionError
    assert _servers(directory) == []


async def test_after_a_ctrl_c_the_block_can_still_use_the_database_and_then_it_stops_cleanly(
    directory: Path, instance: str
) -> None:
    async with _other_process(directory, instance) as (process, url):
        assert await _value(url, "SELECT 1") == 1
        os.killpg(process.pid, signal.SIGINT)
        await eventually(lambda: process.poll() is not None)
        assert process.stdout is not None
        assert process.stdout.read() == "drained\n"
    assert _servers(directory) == []
    assert (directory / "log").read_text().rstrip().endswith("database system is shut down")


@pytest.mark.parametrize(
    "variables",
    [
        {"PGSSLMODE": "require"},
        {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere"},
        {"PGTARGETSESSIONATTRS": "standby"},
        {
            "PGHOST": "nowhere.invalid",
            "PGPORT": "1",
            "PGUSER": "somebody",
            "PGPASSWORD": "wrong",
            "PGDATABASE": "other",
        },
        {"PGSERVICE": "elsewhere", "PGSERVICEFILE": "/nowhere", "PGPASSFILE": "/nowhere", "PGOPTIONS": "-c work_mem=x"},
    ],
    ids="_".join,
)
async def test_what_a_shell_sets_for_another_database_is_of_no_account(
    directory: Path, instance: str, variables: dict[str, str]
) -> None:
    async with _other_process(directory, instance, **variables) as (process, url):
        assert await _value(url, "SELECT 1") == 1
        os.killpg(process.pid, signal.SIGINT)
        await eventually(lambda: process.poll() is not None)
        assert process.stdout is not None
        assert process.stdout.read() == "drained\n"


async def test_a_killed_process_leaves_a_server_that_the_next_one_replaces(directory: Path, instance: str) -> None:
    async with _other_process(directory, instance) as (process, url):
        await _value(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
        await eventually(lambda: process.poll() is not None)
    left = _servers(directory)
    assert left
    async with running_database(
        directory.parent.parent, instance=instance, given_url=None, say=_ignore, find=find_native
    ) as database:
        assert await _value(database.admin_url, "SELECT answer FROM kept") == 42
        assert left[0] not in _servers(directory)


async def test_two_processes_never_share_an_instance(directory: Path, instance: str) -> None:
    async with _other_process(directory, instance) as (_, url):
        with pytest.raises(InstanceBusyError):
            await _run_once(directory.parent.parent, instance)
        assert await _value(url, "SELECT 1") == 1


async def test_each_test_has_a_migrated_database_of_its_own(
    database: Database, database_server: DatabaseServer
) -> None:
    insert = "INSERT INTO analytics.samples VALUES (now(), 1, 2)"
    await _value(database.writer_url, insert)
    async with database_server.clone() as other:
        assert await _value(other.owner_url, "SELECT count(*) FROM analytics.samples") == 0
    assert await _value(database.owner_url, "SELECT count(*) FROM analytics.samples") == 1
    assert await _value(database.reader_url, "SELECT count(*) FROM metrics") == 0


async def test_a_private_server_can_be_killed_without_harm_to_the_common_one(
    private_server: PrivateServer, database: Database
) -> None:
    await _value(private_server.database.writer_url, "INSERT INTO analytics.samples VALUES (now(), 1, 2)")
    await private_server.server.kill()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncpg.connect(private_server.database.admin_url, timeout=HANG_S)
    assert await _value(database.admin_url, "SELECT 1") == 1
    await private_server.server.start()
    assert await _value(private_server.database.owner_url, "SELECT count(*) FROM analytics.samples") == 1
