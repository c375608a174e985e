"""The data directory of a local PostgreSQL: made once, configured anew at each start."""

import asyncio
import os
import shutil
from pathlib import Path

from ingestor.local.account import Account
from ingestor.local.installed import Installation
from ingestor.local.instance import HOST, SUPERUSER, Instance
from ingestor.local.processes import CommandRunner

INITDB_TIMEOUT_S = 60.0
INCLUDED = "ingestor.conf"
LOG_BYTES = 10 * 1024 * 1024
"""Size at which the log of earlier runs is put aside."""

SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path is limited to 107 bytes, which a cache folder may exceed; and TCP is what users have.
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "random_page_cost": "1.1",  # no moving parts; as timescaledb-tune sets it
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",  # Debian's compiler library is not unpacked
    "password_encryption": "scram-sha-256",
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_timezone": "GMT",
    "timezone": "GMT",  # the one zone that needs no files of the machine
}


def data_dir_of(instance: Instance) -> Path:
    """Return where the data of ``instance`` is."""
    return instance.directory / "data"


async def ensure_cluster(instance: Instance, installation: Installation) -> None:
    """Make the data directory unless it is there; one that was not finished is made anew.

    Raises:
        CommandError: initdb fails.
    """
    data_dir = data_dir_of(instance)
    if await asyncio.to_thread((data_dir / "PG_VERSION").is_file):
        return
    new = instance.directory / "data.new"
    await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
    run = CommandRunner(instance.account, variables={"LC_ALL": "C", "TZ": "GMT"})
    options = [f"--username={SUPERUSER}", f"--pwfile={instance.directory / 'password'}", "--auth=scram-sha-256"]
    options += ["--encoding=UTF8", "--locale=C", "--data-checksums"]
    await run(installation.bin_dir / "initdb", f"--pgdata={new}", *options, timeout_s=INITDB_TIMEOUT_S)
    await asyncio.to_thread(_finish, new, data_dir)


def write_settings(instance: Instance) -> None:
    """Write the settings file that the server includes; ALTER SYSTEM still wins over it."""
    settings = {**SETTINGS, "port": str(instance.port)}
    text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
    instance.account.write(data_dir_of(instance) / INCLUDED, text)


def open_log(path: Path, account: Account) -> int:
    """Return a file descriptor that appends to the server's log."""
    if path.is_file() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.old"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.fchown(descriptor, account.uid, account.gid)
    return descriptor


def _finish(new: Path, data_dir: Path) -> None:
    with (new / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude = '{INCLUDED}'\n")
    new.replace(data_dir)
