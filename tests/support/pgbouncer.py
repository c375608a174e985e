"""PgBouncer before a database: Debian's, unpacked into the cache folder on first use."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ingestor.local import default_cache
from ingestor.local.account import Account, prepare_cache, server_account
from ingestor.local.apt import PrivateApt
from ingestor.local.debian import UNNEEDED
from ingestor.local.filelock import locked
from ingestor.local.processes import CommandError, CommandRunner, Runner, spawn
from support.database import Database

INSTALL_TIMEOUT_S = 300.0
START_TIMEOUT_S = 30.0
POLL_S = 0.05
_URLS = ("admin_url", "owner_url", "writer_url", "reader_url")

OLD, CURRENT = "bookworm", "trixie"
"""Debian's releases: 1.18, which does not track prepared statements, and 1.24, which does as it comes."""


async def find_pgbouncer(suite: str) -> list[str]:
    """Return the command that runs the PgBouncer of one release of Debian.

    Raises:
        CommandError: it is not here and cannot be had.
    """
    cache, account = default_cache(os.environ.get("XDG_CACHE_HOME")), server_account()
    prepare_cache(cache, account)
    tree = cache / f"debian-{suite}-pgbouncer"
    async with locked(tree.with_suffix(".lock"), INSTALL_TIMEOUT_S, lambda: None):
        if not await asyncio.to_thread(tree.is_dir):
            await _install(cache, tree, suite, account)
    # Its own loader and libraries: the machine's C library may be older.
    loader = next(path for path in tree.glob("**/ld-linux*.so.*") if path.parent.parent.name == "lib")
    libraries = ":".join(str(tree / place / loader.parent.name) for place in ("lib", "usr/lib"))
    return [str(loader), "--library-path", libraries, str(tree / "usr/sbin/pgbouncer")]


async def _install(cache: Path, tree: Path, suite: str, account: Account) -> None:
    build = cache / f"{tree.name}.new"
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)
    for folder in (build, build / "tree", build / "tools", build / "tmp"):
        await asyncio.to_thread(account.make_directory, folder, 0o755)
    run = CommandRunner(account, variables={"LC_ALL": "C", "HOME": str(build), "TMPDIR": str(build / "tmp")})
    await _fetch(build, suite, account, run)
    await asyncio.to_thread((build / "tree").rename, tree)
    await asyncio.to_thread(shutil.rmtree, build, ignore_errors=True)


async def _fetch(build: Path, suite: str, account: Account, run: Runner) -> None:
    machine = PrivateApt(build / "apt", account, run)
    await machine.update()
    await machine.unpack("debian-archive-keyring", target=build / "tools")
    keyring = next((build / "tools/usr/share/keyrings").glob("debian-archive-keyring.*"))
    for mirror in await machine.mirrors("Debian"):
        debian = PrivateApt(build / "apt-debian", account, run, f"deb [signed-by={keyring}] {mirror} {suite} main")
        with suppress(CommandError):  # a mirror need not hold every release
            await debian.update()
            await debian.unpack_with_dependencies("pgbouncer", target=build / "tree", skip=UNNEEDED)
            return
    raise CommandError(f"no mirror of this machine holds Debian's {suite}")


@asynccontextmanager
async def pgbouncer(command: list[str], database: Database, **settings: object) -> AsyncIterator[Database]:
    """Run PgBouncer before ``database`` and give the same through it; ``settings`` are put on top of its defaults."""
    account = server_account()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp))
    os.chown(folder, account.uid, account.gid)
    account.write(folder / "users", _users(database))
    account.write(folder / "ini", _configuration(folder / "users", urlsplit(database.admin_url), port, settings))
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    process = spawn([*command, str(folder / "ini")], account, folder, log)
    os.close(log)
    try:
        await _wait_until_ready(process, port, folder / "log")
        yield replace(database, **{name: _through(getattr(database, name), port) for name in _URLS})
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        await asyncio.to_thread(shutil.rmtree, folder)


def _users(database: Database) -> str:
    logins = [urlsplit(getattr(database, name)) for name in _URLS]
    return "".join(f'"{login.username}" "{login.password}"\n' for login in logins)


def _configuration(users: Path, target: SplitResult, port: int, settings: Mapping[str, object]) -> str:
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": users,
        **settings,
    }
    lines = [f"{name} = {value}" for name, value in options.items()]
    return "\n".join(["[databases]", f"* = host={target.hostname} port={target.port}", "[pgbouncer]", *lines, ""])


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))


async def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while asyncio.get_running_loop().time() < deadline and process.poll() is None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"PgBouncer does not serve: {log.read_text()}")
