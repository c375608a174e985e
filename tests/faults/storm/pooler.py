"""PgBouncer between one server and its gate, killed and started again on its port."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from ingestor.local.account import server_account
from ingestor.local.processes import spawn

_START_TIMEOUT_S = 20.0
_POLL_S = 0.02
MODES = ("transaction", "session")


class Pooler:
    """Passes what comes to ``url`` on to the database of ``target``; all settings but the mode are the defaults."""

    def __init__(self, command: list[str], mode: str, target: str) -> None:
        parts = urlsplit(target)
        self._command = command
        self._mode = mode
        self._target = parts
        self._host = parts.hostname or ""
        self._port = _free_port(self._host)
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self.lock = asyncio.Lock()
        credentials = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}@{self._host}:{self._port}"))

    async def __aenter__(self) -> Self:
        account = server_account()
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="storm-pooler-"))
        os.chown(self._folder, account.uid, account.gid)
        account.write(self._folder / "users", f'"{self._target.username}" "{self._target.password}"\n')
        account.write(self._folder / "ini", self._configuration())
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder)

    async def start(self) -> None:
        """Start it and wait until it listens."""
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = spawn([*self._command, str(self._folder / "ini")], server_account(), self._folder, log)
        finally:
            os.close(log)
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await self._listens():
                if self._process.poll() is not None:
                    text = await asyncio.to_thread((self._folder / "log").read_text)
                    raise RuntimeError(f"PgBouncer ended: {text[-2000:]}")
                await asyncio.sleep(_POLL_S)

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _configuration(self) -> str:
        options = {
            "listen_addr": self._host,
            "listen_port": self._port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._folder / "users",
            "pool_mode": self._mode,
        }
        lines = [f"{name} = {value}" for name, value in options.items()]
        target = f"* = host={self._host} port={self._target.port}"
        return "\n".join(["[databases]", target, "[pgbouncer]", *lines, ""])

    async def _listens(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(self._host, self._port)
            writer.close()
            return True
        return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
