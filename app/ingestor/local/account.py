"""Who runs PostgreSQL here, and where it is kept: PostgreSQL refuses to run as root.

A normal user runs it himself and keeps it in his cache folder. Root runs it as ``postgres`` where that user exists,
else as ``nobody``, and keeps it in /var/cache unless that user can enter root's own cache folder.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ingestor.errors import ConfigurationError, words_of

FOLDER = "analytics-ingestor"
SYSTEM_CACHE = Path("/var/cache") / FOLDER
SERVICE_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by number."""

    name: str
    uid: int
    gid: int

    def make_directory(self, path: Path, mode: int = 0o700) -> None:
        """Make ``path`` if it is missing and give it to this user; what is above it is left as it is."""
        path.mkdir(exist_ok=True)
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)

    def write(self, path: Path, text: str) -> None:
        """Write a file that only this user can read, whole or not at all."""
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchown(descriptor, self.uid, self.gid)
            file.write(text)
        new.replace(path)

    def can_enter(self, path: Path) -> bool:
        """Tell whether this user may walk down to ``path``; what does not exist yet is no obstacle."""
        return all(self._may_traverse(folder) for folder in (path, *path.parents))

    def _may_traverse(self, folder: Path) -> bool:
        try:
            status = folder.stat()
        except FileNotFoundError:
            return True
        except PermissionError:
            return False
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == self.gid else 0o001))


def current_account() -> Account:
    """Return the user of this process."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name, uid, os.getegid())


def server_account() -> Account:
    """Return who runs PostgreSQL: the user of this process, or for root somebody without rights.

    Raises:
        ConfigurationError: this process is root's and the machine has none of ``SERVICE_USERS``.
    """
    if os.geteuid() != 0:
        return current_account()
    for name in SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`; "
        "run this as a normal user, or set INGESTOR_DATABASE_URL"
    )


def default_cache(xdg_cache_home: str | None) -> Path:
    """Return where the local TimescaleDB and its data are kept; ``xdg_cache_home`` is $XDG_CACHE_HOME.

    Raises:
        ConfigurationError: nobody on this machine could run PostgreSQL, or this user has no folder.
    """
    home = Path(xdg_cache_home) if xdg_cache_home and Path(xdg_cache_home).is_absolute() else _home() / ".cache"
    wanted = home / FOLDER
    if os.geteuid() == 0 and not server_account().can_enter(wanted):
        return SYSTEM_CACHE
    return wanted


def _home() -> Path:
    try:
        return Path.home()
    except (RuntimeError, KeyError) as error:  # a user without a name has no folder of his own either
        raise ConfigurationError("this user has no home folder; set XDG_CACHE_HOME to a folder") from error


def prepare_cache(cache: Path, account: Account) -> None:
    """Make the cache folder and check that ``account`` can enter it.

    Raises:
        ConfigurationError: it cannot be made or entered.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for folder in (cache, cache / "instances"):
            folder.mkdir(exist_ok=True)
            if account.uid != os.geteuid():
                folder.chmod(0o755)  # root's, so that the server cannot exchange what root looks for there
    except OSError as error:
        raise ConfigurationError(
            f"{cache}: {words_of(error)}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    if not account.can_enter(cache):
        raise ConfigurationError(
            f"user {account.name}, who runs PostgreSQL, cannot enter {cache}; set XDG_CACHE_HOME to another folder"
        )
