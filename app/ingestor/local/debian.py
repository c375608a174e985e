"""Install PostgreSQL with TimescaleDB from Debian's packages into the cache folder, without touching the system.

The packages of one release serve every Debian and Ubuntu: their programs are made to use their own C library. Debian
builds the extension without the parts under the Timescale licence (columnstore, continuous aggregates).
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.local.account import Account, current_account
from ingestor.local.apt import PrivateApt
from ingestor.local.filelock import locked
from ingestor.local.installed import Installation, NotHereError, read_major
from ingestor.local.processes import CommandError, CommandRunner, Runner
from ingestor.local.relocate import find_patchelf, relocate

UNNEEDED = ("libllvm", "libz3", "perl", "libperl", "locales")
"""Half of all bytes: just-in-time compilation, which is switched off, Debian's scripts, and languages."""
KEYRINGS = "usr/share/keyrings"
INSTALL_TIMEOUT_S = 900.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Debian and the PostgreSQL, by its major version, that it builds TimescaleDB for."""

    suite: str
    major: int

    @property
    def name(self) -> str:
        """Return what the installation is called in the cache folder; those of two releases stand side by side."""
        return f"debian-{self.suite}-postgresql-{self.major}"

    @property
    def packages(self) -> tuple[str, str]:
        """Return the server and the extension."""
        return f"postgresql-{self.major}", f"postgresql-{self.major}-timescaledb"


RELEASES = {release.major: release for release in (Release("trixie", 17), Release("forky", 18))}
"""By PostgreSQL's major version: TimescaleDB 2.19 and 2.31."""
DEFAULT = RELEASES[17]


class DebianPackages:
    """The installation of ``release`` under ``cache``, made on first use."""

    def __init__(
        self, cache: Path, account: Account, say: Say, run: Runner | None = None, release: Release = DEFAULT
    ) -> None:
        self._cache = cache
        self._run = run
        self._account = account
        self._say = say
        self._release = release
        self._tree = cache / release.name
        self._bin_dir = self._tree / f"usr/lib/postgresql/{release.major}/bin"

    async def find(self) -> Installation:
        """Return the installation, made now if it is not there yet.

        Raises:
            NotHereError: this is no Debian or Ubuntu, or the packages cannot be had.
        """
        if not await asyncio.to_thread(self._tree.is_dir):
            await self._install_once()
        major = self._release.major
        description = f"PostgreSQL {major} with TimescaleDB from Debian's packages ({self._tree})"
        return Installation(self._bin_dir, major, description)

    async def _install_once(self) -> None:
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise NotHereError(f"this is no Debian or Ubuntu: {program} is missing")
        patchelf = find_patchelf()

        def tell() -> None:
            self._say("Another process installs TimescaleDB; waiting for it ...")

        async with locked(self._cache / f"{self._release.name}.lock", INSTALL_TIMEOUT_S, tell):
            if await asyncio.to_thread(self._tree.is_dir):
                return
            self._say("Installing PostgreSQL and TimescaleDB into the cache folder (once, 100 MB, under a minute) ...")
            build = self._cache / f"{self._release.name}.new"
            try:
                await self._build(build, patchelf)
            except CommandError as error:
                raise NotHereError(f"Debian's packages cannot be installed: {error}") from error
            finally:
                await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)

    async def _build(self, build: Path, patchelf: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
        for folder in (build, build / "tree", build / "tools", build / "tmp"):
            await asyncio.to_thread(self._account.make_directory, folder, 0o755)
        variables = {"LC_ALL": "C", "HOME": str(build), "TMPDIR": str(build / "tmp")}
        run = self._run or CommandRunner(self._account, variables=variables)
        await fetch_packages(self._release, build, self._account, run)
        tree = build / "tree"
        bin_dir = tree / self._bin_dir.relative_to(self._tree)
        # As this process: the server's user cannot always enter the folder that patchelf is in.
        ours = self._run or CommandRunner(current_account())
        await relocate(tree, self._tree, bin_dir, patchelf, ours)
        await asyncio.to_thread(tree.rename, self._tree)
        await self._check(run)

    async def _check(self, run: Runner) -> None:
        """Run the server once; what does not run must not be found again."""
        try:
            await read_major(self._bin_dir, run)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, self._tree, ignore_errors=True)
            raise


async def fetch_packages(release: Release, build: Path, account: Account, run: Runner) -> None:
    """Unpack the packages of ``release`` and all they need into ``build/tree``.

    From the Debian mirror that the machine already uses; a machine of another origin, such as Ubuntu, uses
    mmdebstrap, which knows Debian's own.

    Raises:
        CommandError: something cannot be had or unpacked.
    """
    tools, tree = build / "tools", build / "tree"
    machine = PrivateApt(build / "apt", account, run)
    await machine.update()
    # The machine's own copy may be too old to know the keys of a later release.
    await machine.unpack("debian-archive-keyring", target=tools)
    keyring = await asyncio.to_thread(_find_keyring, tools)
    for mirror in await machine.mirrors("Debian"):
        source = f"deb [signed-by={keyring}] {mirror} {release.suite} main"
        debian = PrivateApt(build / "apt-debian", account, run, source)
        with suppress(CommandError):  # a mirror need not hold every release
            await debian.update()
            await debian.unpack_with_dependencies(*release.packages, target=tree, skip=UNNEEDED)
            return
    await _fetch_with_mmdebstrap(release, machine, tools, tree, keyring, run)


async def _fetch_with_mmdebstrap(
    release: Release, machine: PrivateApt, tools: Path, tree: Path, keyring: Path, run: Runner
) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        await machine.unpack("mmdebstrap", target=tools)
        program = str(tools / "usr/bin/mmdebstrap")
    options = ["--mode=chrootless", "--variant=extract", "--format=directory", f"--keyring={keyring}"]
    await run(
        program, *options, f"--include={','.join(release.packages)}", release.suite, tree, timeout_s=INSTALL_TIMEOUT_S
    )


def _find_keyring(tools: Path) -> Path:
    for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp"):
        if (keyring := tools / KEYRINGS / name).is_file():
            return keyring
    raise CommandError("the package debian-archive-keyring holds no keyring")
