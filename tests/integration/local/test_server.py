"""A server of ours keeps its data through stop, kill and crash, and harms no process of others."""

import asyncio
import os
import socket
import stat
import subprocess
from pathlib import Path

import asyncpg
import psutil
import pytest

from ingestor.errors import ConfigurationError
from ingestor.local import InstanceBusyError, LocalServer
from ingestor.local.account import server_account
from ingestor.local.postmaster import processes_of
from ingestor.local.processes import spawn
from support.database import DatabaseServer
from support.eventually import HANG_S, eventually


async def _run(server: LocalServer, statement: str) -> object:
    connection = await asyncpg.connect(server.url("postgres"), timeout=HANG_S)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_what_was_committed_is_there_after_a_stop_and_the_url_is_the_same(server: LocalServer) -> None:
    await server.start()
    url = server.url("postgres")
    await _run(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    await server.stop()
    assert server.pid is None
    await server.start()
    assert server.url("postgres") == url
    assert await _run(server, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("how", ["kill", "immediate"])
async def test_what_was_committed_is_there_after_a_crash(server: LocalServer, how: str) -> None:
    await server.start()
    await _run(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    if how == "kill":
        await server.kill()
    else:
        await server.stop("immediate")
    await server.start()
    assert await _run(server, "SELECT answer FROM kept") == 42
    assert "database system was not properly shut down" in server.log_file.read_text()


async def test_a_kill_leaves_no_process_behind(server: LocalServer) -> None:
    await server.start()
    pid = server.pid
    assert pid is not None
    assert len(processes_of(server.data_dir, server_account().uid)) > 1
    await server.kill()
    assert server.pid is None
    assert not psutil.pid_exists(pid)
    assert processes_of(server.data_dir, server_account().uid) == []


async def test_the_server_is_durable_private_and_has_no_rights_of_root(server: LocalServer) -> None:
    await server.start()
    assert psutil.Process(server.pid).uids().effective != 0
    names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "unix_socket_directories", "jit")
    values = [await _run(server, f"SELECT current_setting('{name}')") for name in names]
    assert values == ["on", "on", "on", "127.0.0.1", "", "off"]
    assert await _run(server, "SELECT pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == "UTF8"
    assert await _run(server, "SHOW timescaledb.telemetry_level") == "off"
    assert stat.S_IMODE(server.data_dir.parent.stat().st_mode) == 0o700


async def test_a_wrong_password_is_refused(server: LocalServer) -> None:
    await server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url("postgres", "postgres", "guessed"), timeout=HANG_S)


async def test_a_second_process_is_told_that_the_cluster_is_taken(
    server: LocalServer, database_server: DatabaseServer, directory: Path
) -> None:
    await server.start()
    second = LocalServer(database_server.installation, directory)
    with pytest.raises(InstanceBusyError):
        await second.start()
    assert await _run(server, "SELECT 1") == 1


async def test_a_taken_port_is_given_up_for_another(server: LocalServer) -> None:
    await server.start()
    first = server.url("postgres")
    await server.stop()
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2].partition("/")[0]))):
        await server.start()
    assert server.url("postgres") != first
    assert await _run(server, "SELECT 1") == 1


async def test_a_stale_lock_file_with_the_number_of_a_foreign_process_harms_neither(server: LocalServer) -> None:
    await server.start()
    await server.stop()
    # Of the same user, whom PostgreSQL itself would take for a running server.
    foreign = spawn(["sleep", "60"], server_account(), Path("/"), subprocess.DEVNULL)
    try:
        (server.data_dir / "postmaster.pid").write_text(f"{foreign.pid}\n{server.data_dir}\n")
        await server.start()
        assert await _run(server, "SELECT 1") == 1
        assert foreign.poll() is None
    finally:
        foreign.kill()
        await asyncio.to_thread(foreign.wait)


async def test_a_cluster_whose_making_was_interrupted_is_made_anew(
    database_server: DatabaseServer, new_directory: Path
) -> None:
    directory, server = new_directory, LocalServer(database_server.installation, new_directory)
    server_account().make_directory(directory)
    server_account().make_directory(directory / "data.new")
    (directory / "data.new/PG_VERSION").write_text("17\n")
    try:
        await server.start()
        assert await _run(server, "SELECT 1") == 1
        assert not (directory / "data.new").exists()
    finally:
        await server.kill()


async def test_a_server_that_cannot_start_says_what_its_log_says_and_frees_the_cluster(server: LocalServer) -> None:
    await server.start()
    await server.stop()
    automatic = server.data_dir / "postgresql.auto.conf"
    automatic.write_text("shared_buffers = 'many'\n")
    with pytest.raises(ConfigurationError, match="invalid value for parameter"):
        await server.start()
    automatic.write_text("")
    os.chown(automatic, server_account().uid, server_account().gid)
    await server.start()
    assert await _run(server, "SELECT 1") == 1


async def test_a_cancelled_start_leaves_no_server(server: LocalServer) -> None:
    await server.start()
    await server.stop()
    starting = asyncio.create_task(server.start())
    await eventually(lambda: server.pid is not None)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.pid is None
    await server.start()
    assert await _run(server, "SELECT 1") == 1
