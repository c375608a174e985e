"""Clocks that jump: servers run under libfaketime, which reads an offset from a file at each look at the clock."""

import asyncio
import shutil
from pathlib import Path

from ingestor.local.account import current_account
from ingestor.local.apt import PrivateApt
from ingestor.local.filelock import locked
from ingestor.local.processes import CommandError, CommandRunner

_LIBRARY = "libfaketime.so.1"
_INSTALL_TIMEOUT_S = 300.0


async def find_faketime(cache: Path) -> Path | None:
    """Return the library, unpacked into the cache folder on first use; None where this machine cannot have it."""
    tree = cache / "faketime"
    async with locked(cache / "faketime.lock", _INSTALL_TIMEOUT_S, lambda: None):
        if not await asyncio.to_thread(tree.is_dir):
            build = cache / "faketime.new"
            try:
                await _unpack(build)
                await asyncio.to_thread((build / "tree").rename, tree)
            except (CommandError, OSError):
                return None
            finally:
                await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    return await asyncio.to_thread(lambda: next(iter(tree.rglob(_LIBRARY)), None))


async def _unpack(build: Path) -> None:
    account = current_account()
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    for folder in (build, build / "tree"):
        await asyncio.to_thread(account.make_directory, folder)
    apt = PrivateApt(build / "apt", account, CommandRunner(account, variables={"LC_ALL": "C"}))
    await apt.update()
    await apt.unpack("libfaketime", target=build / "tree")


class FakeClock:
    """The clock of one server; the monotonic clock stays true, as it does when a real clock is set."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0.0)

    def set(self, offset_s: float) -> None:
        """Let the clock be so far ahead of the true time from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+.1f}\n")
        new.replace(self._file)
