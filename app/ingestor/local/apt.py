"""Use apt without touching the system: own lists, own cache, no rights needed.

The machine's own sources, keys, proxies and logins are read, none of its state is written.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ingestor.local.account import Account
from ingestor.local.processes import Runner

UPDATE_TIMEOUT_S = 120.0
DOWNLOAD_TIMEOUT_S = 600.0
UNPACK_TIMEOUT_S = 120.0

_CONFIGURATION = """#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
#clear Acquire::IndexTargets::deb::CNF;
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
APT::Install-Recommends "false";
"""


@dataclass(frozen=True, slots=True)
class PrivateApt:
    """An apt whose state is in ``folder``; with ``source``, that one line stands in for the machine's sources.

    ``run`` runs as ``account``: apt and dpkg-deb never have more rights than the database server itself.
    """

    folder: Path
    account: Account
    run: Runner
    source: str = ""

    async def update(self) -> None:
        """Read the package lists; a source that fails is left out, as apt itself does.

        Raises:
            CommandError: apt is missing, or a source is refused.
        """
        await asyncio.to_thread(self._prepare)
        await self._apt("update", timeout_s=UPDATE_TIMEOUT_S)

    async def mirrors(self, origin: str) -> list[str]:
        """Return where the machine gets the packages of ``origin`` from, such as ``Debian``."""
        form = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
        output = await self._apt("indextargets", "--format", form, "Created-By: Packages", timeout_s=UPDATE_TIMEOUT_S)
        start = f"{origin}|{origin}|main|"
        found = [line.removeprefix(start) for line in output.splitlines() if line.startswith(f"{start}http")]
        return list(dict.fromkeys(found))

    async def unpack(self, *packages: str, target: Path) -> None:
        """Unpack ``packages`` alone into ``target``.

        Raises:
            CommandError: they cannot be had or unpacked.
        """
        downloads = self.folder / "downloads"
        await self._apt("download", *packages, timeout_s=DOWNLOAD_TIMEOUT_S, directory=downloads)
        await self._extract(downloads, target, skip=())

    async def unpack_with_dependencies(self, *packages: str, target: Path, skip: tuple[str, ...]) -> None:
        """Unpack ``packages`` and all that they need into ``target``, but for names that begin with one of ``skip``.

        None of the packages' own scripts is run.

        Raises:
            CommandError: they cannot be had or unpacked.
        """
        await self._apt("install", "--yes", "--download-only", *packages, timeout_s=DOWNLOAD_TIMEOUT_S)
        await self._extract(self.folder / "cache/archives", target, skip)

    async def _extract(self, folder: Path, target: Path, skip: tuple[str, ...]) -> None:
        for package in await asyncio.to_thread(lambda: sorted(folder.glob("*.deb"))):
            if not package.name.startswith(skip):
                await self.run("dpkg-deb", "--extract", package, target, timeout_s=UNPACK_TIMEOUT_S)

    async def _apt(self, *arguments: str, timeout_s: float, directory: Path | None = None) -> str:
        place = [f"--chdir={directory}"] if directory is not None else []
        options = [f"--config-file={self.folder / 'apt.conf'}", "--quiet=2"]
        command = ["env", *place, "apt-get", *options, *arguments]
        return (await self.run(*command, timeout_s=timeout_s)).stdout

    def _prepare(self) -> None:
        folders = (
            "",
            "state",
            "state/lists",
            "state/lists/partial",
            "cache",
            "cache/archives",
            "cache/archives/partial",
        )
        for name in (*folders, "downloads", "no-sources"):
            self.account.make_directory(self.folder / name)
        self.account.write(self.folder / "status", "")
        text = _CONFIGURATION.format(folder=self.folder)
        if self.source:
            self.account.write(self.folder / "sources.list", f"{self.source}\n")
            text += f'Dir::Etc::sourcelist "{self.folder}/sources.list";\n'
            text += f'Dir::Etc::sourceparts "{self.folder}/no-sources";\n'
        self.account.write(self.folder / "apt.conf", text)
