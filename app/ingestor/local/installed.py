"""Look for a PostgreSQL with TimescaleDB among the programs of this machine."""

import asyncio
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.local.processes import CommandError, Runner

OLDEST_MAJOR = 14
PROBE_TIMEOUT_S = 5.0

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
)


class NotHereError(Exception):
    """This way to a TimescaleDB is closed on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one PostgreSQL with TimescaleDB; whose they are is in ``description``."""

    bin_dir: Path
    major: int
    description: str


def usual_bin_dirs() -> list[Path]:
    """Return the folders in which PostgreSQL's programs may be, those of the search path first."""
    found = [Path(program).resolve().parent for name in ("pg_config", "postgres") if (program := shutil.which(name))]
    for place in _PLACES:
        found += Path("/").glob(place.lstrip("/"))
    return list(dict.fromkeys(found))


async def find_installed(bin_dirs: Iterable[Path], run: Runner) -> Installation:
    """Return the newest PostgreSQL of 14 or later in ``bin_dirs`` that has TimescaleDB.

    Raises:
        NotHereError: there is none.
    """
    seen = await _versions(bin_dirs, run)
    for major, bin_dir in sorted(seen, reverse=True):
        if major >= OLDEST_MAJOR and await _has_timescaledb(bin_dir, major, run):
            return Installation(bin_dir, major, f"PostgreSQL {major} with TimescaleDB of this machine ({bin_dir})")
    if not seen:
        raise NotHereError("no PostgreSQL server is installed")
    names = ", ".join(f"{major} in {bin_dir}" for major, bin_dir in seen)
    raise NotHereError(f"PostgreSQL {names}: older than {OLDEST_MAJOR}, or without TimescaleDB")


async def read_major(bin_dir: Path, run: Runner) -> int:
    """Return the major version of the server in ``bin_dir``.

    Raises:
        CommandError: it does not run, or says no version.
    """
    output = await run(bin_dir / "postgres", "--version", timeout_s=PROBE_TIMEOUT_S)
    match = re.search(r"\(PostgreSQL\) (\d+)", output.stdout)
    if match is None:
        raise CommandError(f"{bin_dir}/postgres says no version: {output.stdout.strip()}")
    return int(match[1])


async def _versions(bin_dirs: Iterable[Path], run: Runner) -> list[tuple[int, Path]]:
    found = []
    for bin_dir in bin_dirs:
        if await asyncio.to_thread(_has_programs, bin_dir):
            with suppress(CommandError):  # one that does not even run is none
                found.append((await read_major(bin_dir, run), bin_dir))
    return found


def _has_programs(bin_dir: Path) -> bool:
    return all((bin_dir / name).is_file() for name in ("postgres", "initdb"))


async def _has_timescaledb(bin_dir: Path, major: int, run: Runner) -> bool:
    share_dirs, library_dirs = await asyncio.to_thread(_layouts, bin_dir, major)
    try:
        output = await run(bin_dir / "pg_config", "--sharedir", "--pkglibdir", timeout_s=PROBE_TIMEOUT_S)
        share, library = output.stdout.splitlines()[:2]
        share_dirs, library_dirs = [Path(share)], [Path(library)]
    except (CommandError, ValueError):
        pass  # many distributions put pg_config into a package for developers
    return await asyncio.to_thread(_has_files, share_dirs, library_dirs)


def _layouts(bin_dir: Path, major: int) -> tuple[list[Path], list[Path]]:
    """Return where the known packagings put the shared files and the libraries."""
    root = bin_dir.parent
    share = [root / "share", root / "share/postgresql", Path(f"/usr/share/postgresql/{major}"), root / "share/pgsql"]
    library = [root / "lib", root / "lib/postgresql", root / "lib64/pgsql"]
    return [*share, root / f"share/postgresql@{major}"], library


def _has_files(share_dirs: list[Path], library_dirs: list[Path]) -> bool:
    control = any((share / "extension/timescaledb.control").is_file() for share in share_dirs)
    return control and any(
        (library / f"timescaledb.{e}").is_file() for library in library_dirs for e in ("so", "dylib")
    )
