"""Small file systems that a storm fills up: ext4 in an image file."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.local.account import Account, current_account
from ingestor.local.processes import CommandError, CommandRunner

MIB = 1024 * 1024
_TIMEOUT_S = 60.0
_BALLAST = "ballast"


def may_mount() -> bool:
    """Tell whether this process has the rights and the machine loop devices."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system of bounded size."""

    mount_point: Path

    def fill(self) -> None:
        """Take every free byte."""
        descriptor = os.open(self.mount_point / _BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = 0
            for step in (64 * MIB, MIB, 4096):
                with suppress(_FullError):
                    while True:
                        _allocate(descriptor, size, step)
                        size += step
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Give the room back."""
        (self.mount_point / _BALLAST).unlink(missing_ok=True)


class _FullError(Exception):
    pass


def _allocate(descriptor: int, offset: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, offset, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _FullError from error


@asynccontextmanager
async def mounted_disk(mount_point: Path, size_bytes: int, account: Account) -> AsyncIterator[Disk]:
    """Make a file system of ``account`` at ``mount_point``; it is gone in the end."""
    image = mount_point.with_name(f"{mount_point.name}.image")
    run = CommandRunner(current_account())
    await asyncio.to_thread(account.make_directory, mount_point)
    try:
        await asyncio.to_thread(_make_sparse, image, size_bytes)
        await run("mkfs.ext4", "-q", "-F", "-m", "0", image, timeout_s=_TIMEOUT_S)
        await run("mount", "-o", "loop", image, mount_point, timeout_s=_TIMEOUT_S)
        try:
            await asyncio.to_thread(account.make_directory, mount_point)
            yield Disk(mount_point)
        finally:
            await _unmount(mount_point, run)
    finally:
        image.unlink(missing_ok=True)
        with suppress(OSError):
            mount_point.rmdir()


async def _unmount(mount_point: Path, run: CommandRunner) -> None:
    try:
        await run("umount", mount_point, timeout_s=_TIMEOUT_S)
    except CommandError:  # somebody still looks at it: gone for all others
        await run("umount", "--lazy", mount_point, timeout_s=_TIMEOUT_S)


def _make_sparse(image: Path, size_bytes: int) -> None:
    with image.open("wb") as file:
        file.truncate(size_bytes)
