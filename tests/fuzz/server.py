"""A real server for ``fuzz.calls``: none of its calls fails by a fault of ours, and its accounts balance in the end."""

import os

# gRPC's handlers around fork() crash a child now and then.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import asyncio
import sys
import tempfile
from pathlib import Path

from ingestor.local import default_cache
from support.database import start_database_server
from support.scrape import Samples, check_balance, scrape
from support.service import service_process


async def fuzz(arguments: list[str]) -> int:
    """Run the calls against a server of their own; return libFuzzer's exit code, 1 where the server failed."""
    database_server = await start_database_server(default_cache(os.environ.get("XDG_CACHE_HOME")))
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            async with (
                database_server.clone() as database,
                service_process(database.writer_url, log) as service,
            ):
                target = {"FUZZ_TARGET": f"127.0.0.1:{service.grpc_port}"}
                command = (sys.executable, "-m", "fuzz.calls", *arguments)
                calls = await asyncio.create_subprocess_exec(*command, env=os.environ | target)
                code = await calls.wait()
                samples = await scrape(service.http_port)
                check_balance(samples)
                sys.stdout.write(f"calls by status: {calls_by_status(samples)}; the accounts balance\n")
                faults = log.read_text().count("a call failed by a fault of ours")
                return code or min(faults, 1)
    finally:
        await database_server.server.stop("immediate")


def calls_by_status(samples: Samples) -> dict[str, int]:
    """Return how many calls ended with each status."""
    counts: dict[str, int] = {}
    for (name, labels), value in samples.items():
        if name == "ingestor_requests_total":
            code = dict(labels)["code"]
            counts[code] = counts.get(code, 0) + int(value)
    return counts


if __name__ == "__main__":
    sys.exit(asyncio.run(fuzz(sys.argv[1:])))
