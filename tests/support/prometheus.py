"""Prometheus and promtool: those of the machine, else Debian's, unpacked into the cache folder on first use."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from ingestor.local.account import current_account
from ingestor.local.apt import PrivateApt
from ingestor.local.filelock import locked
from ingestor.local.processes import CommandRunner

INSTALL_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 60.0


async def find_prometheus(cache: Path, program: str) -> Path:
    """Return the path of ``prometheus`` or ``promtool``.

    Raises:
        CommandError: it is not here and cannot be had.
    """
    if (found := shutil.which(program)) is not None:
        return Path(found)
    tree = cache / "debian-prometheus"
    async with locked(cache / "debian-prometheus.lock", INSTALL_TIMEOUT_S, lambda: None):
        if not await asyncio.to_thread(tree.is_dir):
            await _install(cache, tree)
    return tree / "usr/bin" / program


async def _install(cache: Path, tree: Path) -> None:
    account = current_account()
    build = cache / "debian-prometheus.new"
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    for folder in (build, build / "tree", build / "tmp"):
        await asyncio.to_thread(account.make_directory, folder, 0o755)
    run = CommandRunner(account, variables={"LC_ALL": "C", "HOME": str(build), "TMPDIR": str(build / "tmp")})
    apt = PrivateApt(build / "apt", account, run)
    await apt.update()
    await apt.unpack("prometheus", target=build / "tree")
    await asyncio.to_thread((build / "tree").rename, tree)
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)


def run_promtool(promtool: Path, *arguments: str | Path) -> str:
    """Run promtool and return what it prints.

    Raises:
        AssertionError: it finds fault; the text is what it said.
    """
    command = [promtool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
