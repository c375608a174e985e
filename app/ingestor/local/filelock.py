"""A lock between processes that the kernel gives back whatever happens to its holder."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ingestor.errors import ConfigurationError

POLL_S = 0.1


class FileLock:
    """Hold the lock on ``path`` from ``take`` to ``release``; the file itself stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock and return True, or return False at once where another holder has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@asynccontextmanager
async def locked(path: Path, timeout_s: float, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock on ``path``, waiting for it up to ``timeout_s`` seconds; ``on_wait`` tells that it is held.

    Raises:
        ConfigurationError: another process holds it for longer.
    """
    lock = FileLock(path)
    deadline = asyncio.get_running_loop().time() + timeout_s
    waiting = False
    while not lock.take():
        if not waiting:
            on_wait()
            waiting = True
        if asyncio.get_running_loop().time() > deadline:
            raise ConfigurationError(f"another process holds {path} for more than {timeout_s:.0f} s; stop it first")
        await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()
