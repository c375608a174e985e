"""What belongs to one local database besides its data: the lock, the superuser's password, and the port."""

import asyncio
import secrets
import socket
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

from ingestor.errors import ConfigurationError, words_of
from ingestor.local.account import Account
from ingestor.local.filelock import FileLock
from ingestor.local.processes import run_to_its_end

HOST = "127.0.0.1"
SUPERUSER = "postgres"
FIRST_PORT = 15_432
PORTS = 1_000


class InstanceBusyError(ConfigurationError):
    """Another process uses this local database."""


class Instance:
    """The folder of one local database; ``open`` before use, ``close`` in the end."""

    def __init__(self, directory: Path, account: Account) -> None:
        self.directory = directory
        self.account = account
        self.password = ""
        self.port = 0
        self._lock = FileLock(directory / "lock")

    async def open(self) -> None:
        """Take the folder for this process and read or make the password.

        Raises:
            InstanceBusyError: another process has it.
            ConfigurationError: it cannot be written.
        """
        try:
            await run_to_its_end(self._open)
        except asyncio.CancelledError:
            self.close()
            raise
        except OSError as error:
            raise ConfigurationError(f"{self.directory} cannot be used: {words_of(error)}") from error

    def close(self) -> None:
        """Give the folder back."""
        self._lock.release()

    async def take_port(self, taken: set[int]) -> None:
        """Set ``port`` to the remembered one where it is free and not in ``taken``, else to the next free one.

        Raises:
            ConfigurationError: no port is free.
        """
        await asyncio.to_thread(self._take_port, taken)

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a DSN on this machine, the superuser's where no user is named."""
        login = quote(user or SUPERUSER, safe="")
        secret = self.password if user is None else password
        if secret is not None:
            login += f":{quote(secret, safe='')}"
        return f"postgresql://{login}@{HOST}:{self.port}/{quote(database, safe='')}"

    def _open(self) -> None:
        self.account.make_directory(self.directory)
        if not self._lock.take():
            raise InstanceBusyError(f"another process uses the local database in {self.directory}; stop it first")
        path = self.directory / "password"
        if not path.is_file():
            self.account.write(path, secrets.token_urlsafe(24))
        self.password = path.read_text(encoding="utf-8")

    def _take_port(self, taken: set[int]) -> None:
        path = self.directory / "port"
        remembered = [int(path.read_text(encoding="utf-8"))] if path.is_file() else []
        # Each instance looks first where no other does, or a restart could find its port taken by a newcomer.
        start = crc32(self.directory.name.encode()) % PORTS
        for port in [*remembered, *(FIRST_PORT + (start + step) % PORTS for step in range(PORTS))]:
            if port not in taken and _is_free(port):
                self.account.write(path, str(port))
                self.port = port
                return
        raise ConfigurationError(f"no port between {FIRST_PORT} and {FIRST_PORT + PORTS - 1} is free on {HOST}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: it may have stopped just now
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
