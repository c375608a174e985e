"""Which of the machine's PostgreSQL servers will do."""

from pathlib import Path

import pytest

from ingestor.local.installed import NotHereError, find_installed
from support.fake_runner import FakeRunner, missing


def _server(folder: Path, *, timescaledb: bool = True) -> Path:
    for name in ("bin", "share/extension", "lib"):
        (folder / name).mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / "bin" / name).touch()
    if timescaledb:
        (folder / "share/extension/timescaledb.control").touch()
        (folder / "lib/timescaledb.so").touch()
    return folder / "bin"


def _runner(versions: dict[Path, str], **more: object) -> FakeRunner:
    answers = {f"{bin_dir}/postgres": f"postgres (PostgreSQL) {text}\n" for bin_dir, text in versions.items()}
    return FakeRunner({"pg_config": missing("pg_config"), **answers})


async def test_the_newest_server_with_timescaledb_is_taken(tmp_path: Path) -> None:
    old, new = _server(tmp_path / "15"), _server(tmp_path / "17")
    newest = _server(tmp_path / "18", timescaledb=False)
    found = await find_installed([old, new, newest], _runner({old: "15.9", new: "17.2 (Debian)", newest: "18.0"}))
    assert (found.bin_dir, found.major) == (new, 17)


async def test_a_server_older_than_14_is_not_taken_even_with_timescaledb(tmp_path: Path) -> None:
    old = _server(tmp_path / "13")
    with pytest.raises(NotHereError, match="13 in"):
        await find_installed([old], _runner({old: "13.14"}))


async def test_an_extension_without_its_library_does_not_count(tmp_path: Path) -> None:
    server = _server(tmp_path / "17")
    (tmp_path / "17/lib/timescaledb.so").unlink()
    with pytest.raises(NotHereError, match="without TimescaleDB"):
        await find_installed([server], _runner({server: "17.2"}))


async def test_the_clients_of_postgresql_alone_are_no_server(tmp_path: Path) -> None:
    (tmp_path / "psql").touch()
    run = FakeRunner()
    with pytest.raises(NotHereError, match="no PostgreSQL server"):
        await find_installed([tmp_path], run)
    assert run.commands == []


async def test_where_pg_config_answers_its_folders_are_believed(tmp_path: Path) -> None:
    server = _server(tmp_path / "17", timescaledb=False)
    share, library = tmp_path / "elsewhere/share", tmp_path / "elsewhere/lib"
    (share / "extension").mkdir(parents=True)
    library.mkdir()
    (share / "extension/timescaledb.control").touch()
    (library / "timescaledb.so").touch()
    run = FakeRunner({"pg_config": f"{share}\n{library}\n", "postgres": "postgres (PostgreSQL) 17.2"})
    assert (await find_installed([server], run)).bin_dir == server


async def test_a_server_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    broken, good = _server(tmp_path / "a"), _server(tmp_path / "b")
    run = _runner({good: "16.1"})
    run.answers = {f"{broken}/postgres": missing("postgres"), **run.answers}
    assert (await find_installed([broken, good], run)).bin_dir == good
