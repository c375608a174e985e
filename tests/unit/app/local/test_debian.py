"""The installation from packages: whole or not there, once for all processes, and as the machine's apt is set up."""

import asyncio
from pathlib import Path

import pytest

from ingestor.local.account import current_account
from ingestor.local.debian import DEFAULT, RELEASES, DebianPackages
from ingestor.local.installed import NotHereError
from ingestor.local.processes import CommandError
from support.fake_runner import Answer, FakeRunner

NAME = DEFAULT.name
MIRRORS = "Example|Example|main|http://packages.test/\nDebian|Debian|main|http://mirror.test/debian/\n"


class FakeApt(FakeRunner):
    """Answer as apt, dpkg-deb, patchelf and the unpacked server do, by making the files that they would."""

    def __init__(self, answers: dict[str, Answer] | None = None, major: int = DEFAULT.major) -> None:
        self._major = major
        super().__init__(
            {
                "apt-get download": self._download,
                "apt-get install": self._install,
                "dpkg-deb": self._extract,
                "mmdebstrap": lambda words: self._fill(Path(words[-1])),
                "apt-get indextargets": MIRRORS,
                "postgres": f"postgres (PostgreSQL) {major}.6",
                **(answers or {}),
            }
        )

    @staticmethod
    def _download(words: list[str]) -> None:
        folder = Path(words[1].removeprefix("--chdir="))
        (folder / f"{words[-1]}_1_all.deb").touch()

    @staticmethod
    def _install(words: list[str]) -> None:
        config = next(word for word in words if word.startswith("--config-file="))
        archives = Path(config.removeprefix("--config-file=")).parent / "cache/archives"
        for name in ("postgresql-17_17_amd64.deb", "libllvm19_1_amd64.deb"):
            (archives / name).touch()

    def _extract(self, words: list[str]) -> None:
        target = Path(words[-1])
        (target / "usr/share/keyrings").mkdir(parents=True, exist_ok=True)
        (target / "usr/share/keyrings/debian-archive-keyring.gpg").touch()
        if target.name == "tree":
            self._fill(target)

    def _fill(self, tree: Path) -> None:
        server = f"usr/lib/postgresql/{self._major}/bin/postgres"
        for path in ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", server):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).touch()


def _packages(cache: Path, run: FakeRunner, said: list[str] | None = None) -> DebianPackages:
    return DebianPackages(cache, current_account(), (said if said is not None else []).append, run)


@pytest.fixture(autouse=True)
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests see the same programs on every machine."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("apt-get", "dpkg-deb", "patchelf"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


async def test_the_first_use_installs_and_later_ones_find_it(tmp_path: Path) -> None:
    run, said = FakeApt(), list[str]()
    first = await _packages(tmp_path, run, said).find()
    commands = len(run.commands)
    assert (await _packages(tmp_path, run, said).find()) == first
    assert first.bin_dir == tmp_path / NAME / "usr/lib/postgresql/17/bin"
    assert len(run.commands) == commands
    assert [line.startswith("Installing") for line in said] == [True]


async def test_the_installations_of_two_releases_stand_side_by_side(tmp_path: Path) -> None:
    found = {}
    for major, release in RELEASES.items():
        run = FakeApt(major=major)
        found[major] = await DebianPackages(tmp_path, current_account(), print, run, release).find()
        (command,) = run.having("install")
        assert command[-2:] == [f"postgresql-{major}", f"postgresql-{major}-timescaledb"]
    assert {installation.major for installation in found.values()} == {*RELEASES}
    assert all((installation.bin_dir / "postgres").is_file() for installation in found.values())
    assert await _packages(tmp_path, FakeApt()).find() == found[DEFAULT.major]


async def test_packages_come_from_the_mirror_that_the_machine_uses(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(words: list[str]) -> None:
        seen.append((tmp_path / f"{NAME}.new/apt-debian/sources.list").read_text())
        FakeApt._install(words)

    await _packages(tmp_path, FakeApt({"apt-get install": look})).find()
    assert len(seen) == 1
    assert seen[0].startswith(f"deb [signed-by={tmp_path}/{NAME}.new/tools/usr/share/keyrings/")
    assert seen[0].endswith(" http://mirror.test/debian/ trixie main\n")


async def test_what_is_not_needed_is_not_unpacked(tmp_path: Path) -> None:
    run = FakeApt()
    await _packages(tmp_path, run).find()
    unpacked = [Path(command[2]).name for command in run.having("dpkg-deb")]
    assert "postgresql-17_17_amd64.deb" in unpacked
    assert "libllvm19_1_amd64.deb" not in unpacked


@pytest.mark.parametrize(
    "answers",
    [{"apt-get indextargets": "Ubuntu|Ubuntu|main|http://u.test/\n"}, {"apt-get install": CommandError("not there")}],
    ids=["another distribution", "a mirror without that release"],
)
async def test_a_machine_without_a_fit_debian_mirror_uses_mmdebstrap(
    tmp_path: Path, answers: dict[str, Answer]
) -> None:
    run = FakeApt(answers)
    await _packages(tmp_path, run).find()
    (command,) = run.having("--variant=extract")
    assert command[0] == f"{tmp_path}/{NAME}.new/tools/usr/bin/mmdebstrap"
    assert "--mode=chrootless" in command
    assert command[-2:] == ["trixie", f"{tmp_path}/{NAME}.new/tree"]


@pytest.mark.parametrize("failing", ["apt-get update", "apt-get download", "patchelf", "postgres"])
async def test_an_install_that_fails_is_said_and_leaves_nothing(tmp_path: Path, failing: str) -> None:
    with pytest.raises(NotHereError, match="no answer"):
        await _packages(tmp_path, FakeApt({failing: CommandError("no answer")})).find()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() and path.name != "programs"] == []
    assert await _packages(tmp_path, FakeApt()).find()


async def test_an_install_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(asyncio.CancelledError):
        await _packages(tmp_path, FakeApt({"apt-get install": asyncio.CancelledError()})).find()
    assert not (tmp_path / NAME).exists()
    assert await _packages(tmp_path, FakeApt()).find()


async def test_what_a_killed_install_left_is_never_taken_for_whole(tmp_path: Path) -> None:
    half = tmp_path / f"{NAME}.new/tree/usr/lib/postgresql/17/bin"
    half.mkdir(parents=True)
    (half / "half").touch()
    found = await _packages(tmp_path, FakeApt()).find()
    assert sorted(path.name for path in found.bin_dir.iterdir()) == ["postgres"]


async def test_two_at_once_install_once(tmp_path: Path) -> None:
    run, said = FakeApt(), list[str]()
    first, second = await asyncio.gather(_packages(tmp_path, run, said).find(), _packages(tmp_path, run, said).find())
    assert first == second
    assert len(run.having("install")) == 1
    assert sorted(line.split()[0] for line in said) == ["Another", "Installing"]


async def test_programs_run_with_their_own_loader_and_libraries_from_the_final_place(tmp_path: Path) -> None:
    run = FakeApt()
    await _packages(tmp_path, run).find()
    (command,) = run.having("--set-interpreter")
    interpreter = command[command.index("--set-interpreter") + 1]
    assert interpreter == f"{tmp_path}/{NAME}/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    assert command[command.index("--set-rpath") + 1] == "$ORIGIN/../../../../../usr/lib/x86_64-linux-gnu"


async def test_a_machine_without_apt_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "programs/apt-get").unlink()
    with pytest.raises(NotHereError, match="no Debian or Ubuntu: apt-get"):
        await _packages(tmp_path, FakeApt()).find()
