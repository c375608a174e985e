"""Who runs PostgreSQL, and where its folder may be."""

import os
import stat
from pathlib import Path

import pytest

from ingestor.errors import ConfigurationError
from ingestor.local.account import SYSTEM_CACHE, Account, current_account, default_cache, prepare_cache, server_account

STRANGER = Account("stranger", 54_321, 54_321)


def test_postgresql_is_never_run_as_root() -> None:
    assert server_account().uid != 0
    if os.geteuid() != 0:
        assert server_account() == current_account()


def test_the_cache_folder_follows_the_xdg_rule(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    wanted = tmp_path / "analytics-ingestor"
    expected = wanted if server_account().can_enter(wanted) else SYSTEM_CACHE
    assert default_cache(str(tmp_path)) == expected
    assert default_cache("relative/paths/are/ignored") == default_cache(None)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_001)  # nobody has this number
    with pytest.raises(ConfigurationError, match="this user has no home folder; set XDG_CACHE_HOME"):
        default_cache(None)


def test_the_default_cache_can_be_entered_by_who_runs_postgresql() -> None:
    assert server_account().can_enter(default_cache(None))


@pytest.mark.parametrize(("mode", "enters"), [(0o755, True), (0o701, True), (0o700, False), (0o744, False)])
def test_a_stranger_enters_where_the_folder_lets_everybody(tmp_path: Path, mode: int, enters: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    above = STRANGER.can_enter(tmp_path)
    assert STRANGER.can_enter(folder / "not-made-yet") == (enters and above)
    assert current_account().can_enter(folder)


def test_a_cache_that_the_server_cannot_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigurationError, match=r"stranger.*cannot enter"):
        prepare_cache(tmp_path / "cache", STRANGER)


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME"):
        prepare_cache(tmp_path / "file/cache", current_account())


def test_a_file_is_written_for_its_owner_alone_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "password"
    for text in ("one", "two"):
        current_account().write(path, text)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
