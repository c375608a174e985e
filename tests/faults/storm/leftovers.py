"""What a storm that was killed itself leaves behind, and its removal by the next one."""

import asyncio
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from ingestor.local.account import current_account, server_account
from ingestor.local.postmaster import kill_all
from ingestor.local.processes import CommandError, CommandRunner

_NAME = re.compile(r"storm-([0-9a-f]+)x[0-9a-f]{2}-")
_NAMESPACES = Path("/run/netns")
_TIMEOUT_S = 20.0


def new_token() -> str:
    """Return what the names of this storm's things carry: the process, and something random."""
    return f"{os.getpid():x}x{secrets.token_hex(1)}"


async def remove_leftovers(instances: Path) -> None:
    """Remove the namespaces, file systems and clusters of storms whose process is gone, with what runs in them."""
    run = CommandRunner(current_account())
    for namespace in await asyncio.to_thread(_dead, _NAMESPACES):
        for pid in (await run("ip", "netns", "pids", namespace.name, timeout_s=_TIMEOUT_S)).stdout.split():
            with suppress(psutil.Error):
                psutil.Process(int(pid)).kill()
        await run("ip", "netns", "delete", namespace.name, timeout_s=_TIMEOUT_S)
    dead = await asyncio.to_thread(_dead, instances)
    for path in dead:
        await kill_all(path / "data", server_account().uid)
    for path in dead:
        with suppress(CommandError):  # most are no mount points
            await run("umount", path, timeout_s=_TIMEOUT_S)
        await asyncio.to_thread(_remove, path)


def _dead(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    named = [(path, _NAME.match(path.name)) for path in folder.iterdir()]
    return [path for path, match in named if match and not psutil.pid_exists(int(match.group(1), 16))]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
