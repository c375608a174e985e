"""CPU time of the three that share the machine: the load client (this process), the server, the database."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time in seconds; ``database`` is 0 where its processes can't be seen."""

    client: float
    server: float
    database: float

    def __sub__(self, earlier: "CpuSeconds") -> "CpuSeconds":
        return CpuSeconds(self.client - earlier.client, self.server - earlier.server, self.database - earlier.database)


class CpuMeter:
    """Reads the time that each has used so far."""

    def __init__(self, server_pid: int, postmaster_pid: int | None) -> None:
        self._server = psutil.Process(server_pid)
        self._postmaster = psutil.Process(postmaster_pid) if postmaster_pid else None

    def read(self) -> CpuSeconds:
        """Return the CPU time since each began, of processes that the database has ended as well."""
        return CpuSeconds(time.process_time(), _own_s(self._server), self._database_s())

    def peak_bytes(self) -> int:
        """Return the largest memory that the server has had.

        Source: proc(5), VmHWM.
        """
        status = Path(f"/proc/{self._server.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def _database_s(self) -> float:
        if self._postmaster is None:
            return 0.0
        times = self._postmaster.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for process in self._postmaster.children():
            with suppress(psutil.NoSuchProcess):
                total += _own_s(process)
        return float(total)


async def find_postmaster(admin_url: str) -> int | None:
    """Return the process of the database's server, None where it does not run on this machine or can't be seen."""
    connection = await asyncpg.connect(admin_url)
    try:
        directory = await connection.fetchval("SHOW data_directory")
    finally:
        await connection.close()
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        pid = int((Path(directory) / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        return pid if psutil.Process(pid).name().startswith("postgres") else None
    return None


def _own_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
