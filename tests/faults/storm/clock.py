"""Clocks that jump: the servers run with libfaketime and read how far off they are from a file each.

The package is unpacked beside the database's, without touching the system. Only the clock of the day is changed: timers
go by the monotonic one.
"""

import asyncio
import shutil
from pathlib import Path

from ingestor.local.account import current_account
from ingestor.local.apt import PrivateApt
from ingestor.local.processes import CommandRunner

_LIBRARY = "libfaketime.so.1"


async def find_libfaketime(cache: Path) -> Path:
    """Return the library, fetched on first use.

    Raises:
        CommandError: the package can't be had.
    """
    tree = cache / "libfaketime"
    if not await asyncio.to_thread(tree.is_dir):
        build = cache / "libfaketime.new"
        await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
        account = current_account()
        for folder in (build, build / "tree"):
            await asyncio.to_thread(account.make_directory, folder)
        apt = PrivateApt(build / "apt", account, CommandRunner(account))
        await apt.update()
        await apt.unpack("libfaketime", target=build / "tree")
        await asyncio.to_thread((build / "tree").rename, tree)
        await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    return await asyncio.to_thread(lambda: next(tree.rglob(_LIBRARY)))


class Clock:
    """How far one server's clock is off, in whole seconds."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        self._set(0)

    async def jump(self, seconds: float, lasting_s: float) -> None:
        """Let the clock jump to ``seconds`` off the true time, and back after a while."""
        self._set(round(seconds))
        try:
            await asyncio.sleep(lasting_s)
        finally:
            self._set(0)

    def _set(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)
