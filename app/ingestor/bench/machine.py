"""Which machine and which versions a run was made with, for whoever compares."""

import importlib.metadata
import platform
from pathlib import Path

import asyncpg
import psutil

_PACKAGES = ("grpcio", "protobuf", "asyncpg", "numpy", "uvloop")


async def describe_machine(admin_url: str) -> list[tuple[str, str]]:
    """Return what matters of machine, programs and database, as names and values."""
    connection = await asyncpg.connect(admin_url)
    try:
        server = await connection.fetchval("SHOW server_version")
        timescale = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        licence = await connection.fetchval("SHOW timescaledb.license")
        settings = [
            f"{name} {await connection.fetchval(f'SHOW {name}')}"
            for name in ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
        ]
    finally:
        await connection.close()
    memory_gib = psutil.virtual_memory().total / 1024**3
    return [
        ("processor", f"{_processor()}, {psutil.cpu_count()} logical cores, shared with client and database"),
        ("memory", f"{memory_gib:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, CPython {platform.python_version()}"),
        ("packages", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)),
        ("database", f"PostgreSQL {server}, TimescaleDB {timescale} ({licence}), {', '.join(settings)}"),
    ]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
