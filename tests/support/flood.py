"""Clients that mean no good, as a process of their own so that they take nobody else's event loop.

``python -m support.flood PORT KIND=COUNT …`` prints ``ready`` once all of them are there, runs until its standard input
ends, and prints as JSON what became of them.
"""

import asyncio
import contextlib
import functools
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from support.eventually import HANG_S
from support.points import columns
from support.raw_http2 import RawConnection, grpc_message, raw_connection
from support.wire import text_field

TRICKLE_S = 0.5
AGAIN_S = 0.5
PINGS_PER_S = 1_000
RESETS_AT_ONCE = 20

Seen = Counter[str]


async def _idle(connection: RawConnection, seen: Seen) -> None:
    """Do nothing at all."""
    await connection.closed.wait()
    seen["closed"] += 1


async def _slow(connection: RawConnection, seen: Seen) -> None:
    """Send a message of 4 MB byte by byte; when it is refused, the next."""
    while not connection.closed.is_set() and connection.goaway is None:
        number = await connection.call()
        await connection.send_data(number, grpc_message(bytes(4_000_000))[:100])
        stream = connection.streams[number]
        while not stream.ended.is_set():
            await connection.send_data(number, b"\0")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stream.ended.wait(), TRICKLE_S)
        del connection.streams[number]
        seen["refused"] += 1
        await asyncio.sleep(AGAIN_S)


async def _silent(connection: RawConnection, seen: Seen) -> None:
    """Open as many calls as are allowed and send nothing."""
    numbers = [await connection.call() for _ in range(16)]
    for number in numbers:
        await connection.streams[number].ended.wait()
        seen["refused"] += 1
    await connection.closed.wait()


async def _pings(connection: RawConnection, seen: Seen) -> None:
    """Ping as fast as the process may, until the server has enough."""
    while not connection.closed.is_set() and connection.goaway is None:
        await connection.ping(PINGS_PER_S // 20)
        await asyncio.sleep(0.05)
    seen["closed"] += 1


async def _resets(connection: RawConnection, seen: Seen) -> None:
    """Open calls and give them up at once."""
    while not connection.closed.is_set() and connection.goaway is None:
        for _ in range(RESETS_AT_ONCE):
            number = await connection.call()
            await connection.reset(number)
            del connection.streams[number]
            seen["reset"] += 1
        await asyncio.sleep(0.05)


async def _deaf(connection: RawConnection, seen: Seen) -> None:
    """Send calls and never read an answer."""
    while not connection.closed.is_set():
        number = await connection.call()
        await connection.send_data(number, grpc_message(b""), end=True)
        del connection.streams[number]
        seen["sent"] += 1
        await asyncio.sleep(0.02)


async def _churn(connection: RawConnection, seen: Seen) -> None:
    """Connect, send one small call, go."""
    number = await connection.call()
    await connection.send_data(number, grpc_message(b""), end=True)
    await connection.streams[number].ended.wait()
    seen["answered"] += 1


async def _headers(connection: RawConnection, seen: Seen) -> None:
    """Send metadata over the limit."""
    number = await connection.call(metadata=[(f"x-{n}", "y" * 8_000) for n in range(20)])
    await connection.streams[number].ended.wait()
    seen["refused"] += 1
    await asyncio.sleep(AGAIN_S)


async def _large(connection: RawConnection, seen: Seen) -> None:
    """Keep as many calls as are allowed sending the largest messages, full of points."""
    await _send_all(connection, seen, memoryview(_full()))


async def _padded(connection: RawConnection, seen: Seen) -> None:
    """Send such messages with few points, so that no full buffer holds them off."""
    await _send_all(connection, seen, memoryview(_with_padding()))


async def _doubled(connection: RawConnection, seen: Seen) -> None:
    """Send two such messages in each call, which takes one."""
    await _send_all(connection, seen, memoryview(_with_padding() * 2))


async def _send_all(connection: RawConnection, seen: Seen, message: memoryview) -> None:

    async def call() -> None:
        while not connection.closed.is_set() and connection.goaway is None:
            number = await connection.call(metadata=[("x-ack", "buffered")])
            taken = await connection.send_message(number, message)
            await connection.streams[number].ended.wait()
            del connection.streams[number]
            seen["taken" if taken else "refused"] += 1
            await asyncio.sleep(0 if taken else AGAIN_S)

    await asyncio.gather(*(call() for _ in range(16)))


@functools.cache
def _full() -> bytes:
    return grpc_message(columns(200_000).SerializeToString())


@functools.cache
def _with_padding() -> bytes:
    return grpc_message(columns(10).SerializeToString() + text_field(9, bytes(4_190_000)))


KINDS: dict[str, Callable[[RawConnection, Seen], Awaitable[None]]] = {
    "idle": _idle,
    "slow": _slow,
    "silent": _silent,
    "pings": _pings,
    "resets": _resets,
    "deaf": _deaf,
    "churn": _churn,
    "headers": _headers,
    "large": _large,
    "padded": _padded,
    "doubled": _doubled,
}


async def _attack(port: int, kind: str, seen: Seen, ready: Callable[[], None]) -> None:
    """Be such a client for ever, on a new connection whenever the last one ends."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with raw_connection(port, listen=kind != "deaf") as connection:
                ready()
                seen["connections"] += 1
                await KINDS[kind](connection, seen)
        await asyncio.sleep(AGAIN_S)


async def _run(port: int, wanted: dict[str, int]) -> None:
    seen = {kind: Counter[str]() for kind in wanted}
    total, come = sum(wanted.values()), asyncio.Event()
    arrived = 0

    def ready() -> None:
        nonlocal arrived
        arrived += 1
        if arrived >= total:
            come.set()

    tasks = []
    for kind, count in wanted.items():
        for _ in range(count):
            tasks.append(asyncio.create_task(_attack(port, kind, seen[kind], ready)))
            if len(tasks) % 100 == 0:
                await asyncio.sleep(0.02)
    await come.wait()
    print("ready", flush=True)  # noqa: T201 - what the parent waits for
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(seen), flush=True)  # noqa: T201
    os._exit(0)  # the kernel closes thousands of connections faster than they could be


@asynccontextmanager
async def flood(port: int, cores: set[int] | None = None, **wanted: int) -> AsyncIterator[dict[str, dict[str, int]]]:
    """Run such clients beside the body, on these cores; what became of them is filled in at its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.flood",
        str(port),
        *(f"{kind}={count}" for kind, count in wanted.items()),
        cwd=Path(__file__).parents[1],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if cores is not None:
        os.sched_setaffinity(process.pid, cores)
    assert process.stdin is not None
    assert process.stdout is not None
    seen: dict[str, dict[str, int]] = {}
    try:
        async with asyncio.timeout(HANG_S):
            assert await process.stdout.readline() == b"ready\n"
        yield seen
        async with asyncio.timeout(HANG_S):
            process.stdin.close()
            seen.update(json.loads(await process.stdout.read()))
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    os.nice(19)  # such clients run elsewhere: here they take what cores the server and the honest ones leave
    asyncio.run(_run(int(sys.argv[1]), {kind: int(count) for kind, count in (a.split("=") for a in sys.argv[2:])}))
