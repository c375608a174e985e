"""What this process started ends with it, by whichever signal that is."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ingestor.local.account import current_account, server_account
from ingestor.local.postmaster import none_left, processes_of
from ingestor.local.tether import Tether, tie_process
from support.database import DatabaseServer
from support.eventually import eventually

ENDS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]

_SERVER = """
import asyncio, sys, time
from pathlib import Path
from ingestor.local.find import first_of, native_sources
from ingestor.local import LocalServer
from ingestor.local.account import server_account

async def main(cache, directory):
    installation = await first_of(native_sources(Path(cache), server_account(), print))
    await LocalServer(installation, Path(directory)).start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
_CHILD = """
import signal, subprocess, sys
from ingestor.local.tether import tie_process

child = subprocess.Popen(["sleep", "600"], start_new_session=True)
tether = tie_process(child.pid, signal.SIGTERM)
print(child.pid, flush=True)
sys.stdin.read()
"""


async def _start(code: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _until_line(process: asyncio.subprocess.Process, wanted: str = "") -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if wanted in line:
                return line
    raise AssertionError("the process ended")


@pytest.mark.parametrize("number", ENDS)
async def test_a_database_server_ends_with_who_started_it(
    database_server: DatabaseServer, directory: Path, number: signal.Signals
) -> None:
    cache = database_server.directory.parent.parent
    process = await _start(_SERVER, str(cache), str(directory))
    try:
        await _until_line(process, "started")
        uid = server_account().uid
        assert processes_of(directory / "data", uid)
    finally:
        process.send_signal(number)
        await process.wait()
    assert await none_left(directory / "data", uid, 20)
    assert not (directory / "data/postmaster.pid").exists()  # in order, not as after a crash


@pytest.mark.parametrize("number", ENDS)
async def test_a_child_ends_with_its_parent(number: signal.Signals) -> None:
    process = await _start(_CHILD)
    child = psutil.Process(int(await _until_line(process)))
    process.send_signal(number)
    await process.wait()
    await eventually(lambda: not child.is_running())


async def test_a_child_ends_after_its_parent_s_normal_end() -> None:
    process = await _start(_CHILD)
    child = psutil.Process(int(await _until_line(process)))
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    await eventually(lambda: not child.is_running())


def test_what_is_released_is_not_done(tmp_path: Path) -> None:
    tether = Tether(current_account(), "touch", str(tmp_path / "done"))
    tether.release()
    tether.release()
    assert not (tmp_path / "done").exists()


def test_a_watcher_that_somebody_ended_is_no_trouble() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with subprocess.Popen(["sleep", "600"]) as child:
        tether = tie_process(child.pid, signal.SIGTERM)
        (watcher,) = [one for one in psutil.Process().children() if one.pid not in {*before, child.pid}]
        watcher.kill()
        watcher.wait()
        tether.release()
        assert child.poll() is None
        child.kill()
