"""The processes of one PostgreSQL data directory, told from everybody else's by where they stand."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from ingestor.errors import ConfigurationError

STOP_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 10.0
POLL_S = 0.02


def processes_of(data_dir: Path, uid: int) -> list[psutil.Process]:
    """Return the live server processes of ``data_dir`` that ``uid`` runs, parents before children.

    Every PostgreSQL process keeps the data directory as its working directory, so a number that a foreign process
    took over since is never mistaken for ours.
    """
    wanted = str(data_dir.resolve())
    return sorted(
        (p for p in psutil.process_iter() if _belongs(p, wanted, uid)), key=lambda p: (p.create_time(), p.pid)
    )


def _belongs(process: psutil.Process, data_dir: str, uid: int) -> bool:
    try:
        return (
            process.uids().real == uid
            and process.name() in ("postgres", "postmaster")
            and process.status() != psutil.STATUS_ZOMBIE
            and process.cwd() == data_dir
        )
    except (psutil.Error, OSError):
        return False


async def kill_all(data_dir: Path, uid: int) -> None:
    """End every process of ``data_dir`` as a power cut would, the postmaster first.

    Raises:
        ConfigurationError: one of them is still there after ``KILL_TIMEOUT_S``.
    """
    deadline = asyncio.get_running_loop().time() + KILL_TIMEOUT_S
    while left := await asyncio.to_thread(processes_of, data_dir, uid):
        if asyncio.get_running_loop().time() > deadline:
            raise ConfigurationError(f"PostgreSQL process {left[0].pid} of {data_dir} cannot be killed")
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        await asyncio.sleep(POLL_S)


async def stop_leftovers(data_dir: Path, uid: int) -> None:
    """End what an earlier run left behind in ``data_dir`` and remove its stale lock file.

    Raises:
        ConfigurationError: it does not end.
    """
    left = await asyncio.to_thread(processes_of, data_dir, uid)
    if left:
        with suppress(psutil.Error):
            left[0].send_signal(signal.SIGINT)
        if not await none_left(data_dir, uid, STOP_TIMEOUT_S):
            await kill_all(data_dir, uid)
    await asyncio.to_thread((data_dir / "postmaster.pid").unlink, missing_ok=True)


async def none_left(data_dir: Path, uid: int, timeout_s: float) -> bool:
    """Wait until no process of ``data_dir`` is left; return False after ``timeout_s`` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while await asyncio.to_thread(processes_of, data_dir, uid):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
