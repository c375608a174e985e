"""What each kind of fault does, and what proves that it struck."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress

import aiohttp
import asyncpg
import psutil

from faults.storm.database import DOWN
from faults.storm.disks import Disk
from faults.storm.gate import Ambush, Gate, Moment
from faults.storm.hostile_actors import MARKS, keep_chunk, keep_rule, kill_pooler
from faults.storm.plan import Kind
from faults.storm.schedule import Strike
from faults.storm.servers import Server
from faults.storm.site import Site
from support.scrape import by_label, scrape, value_of

_POLL_S = 0.05
_AMBUSH_S = 10.0
_DATED_S = 60.0
_SCRAPE_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)
_TERMINATE_SOME = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity WHERE usename = 'analytics_writer' ORDER BY random() LIMIT $1) AS picked
"""
_WRITERS = "SELECT pid FROM pg_stat_activity WHERE usename = 'analytics_writer' ORDER BY random() LIMIT $1"
_MOMENTS = {
    Kind.BEFORE_COMMIT: Moment.BEFORE_COMMIT,
    Kind.DURING_COMMIT: Moment.DURING_COMMIT,
    Kind.COMMIT_ANSWER: Moment.AFTER_COMMIT,
}


async def act(site: Site, strike: Strike) -> int:
    """Make a fault and mend it again; return how often it struck."""
    return await _ACTORS[strike.kind](site, strike)


async def _terminate_backends(site: Site, strike: Strike) -> int:
    done = 0
    while done < strike.amount:
        with suppress(*DOWN):
            connection = await site.database.connect()
            try:
                done += await connection.fetchval(_TERMINATE_SOME, int(strike.amount) - done)
            finally:
                connection.terminate()
        await asyncio.sleep(_POLL_S)
    return done


async def _ambush(site: Site, strike: Strike) -> int:
    """Wait for a COMMIT of the target, or of any server once the target is silent."""
    places = [site.servers[strike.target or 0].place]
    while True:
        with suppress(*DOWN):
            connection = await site.database.connect()
            try:
                if await _sprung(_MOMENTS[strike.kind], connection, [place.gate for place in places]):
                    return 1
            finally:
                connection.terminate()
        places = [server.place for server in site.servers]
        await asyncio.sleep(_POLL_S)


async def _sprung(moment: Moment, connection: asyncpg.Connection, gates: list[Gate]) -> bool:
    async def terminate(pid: int) -> bool:
        with suppress(*DOWN):
            wait_ms = 5_000 if moment is Moment.BEFORE_COMMIT else 0
            return bool(await connection.fetchval("SELECT pg_terminate_backend($1, $2)", pid, wait_ms))
        return False

    ambush = Ambush(moment, None if moment is Moment.AFTER_COMMIT else terminate)
    for gate in gates:
        gate.ambushes.append(ambush)
    try:
        async with asyncio.timeout(_AMBUSH_S):
            await ambush.over.wait()
    finally:
        for gate in gates:
            gate.ambushes.remove(ambush)
    return ambush.struck


async def _kill_server(site: Site, strike: Strike) -> int:
    server = _target(site, strike)
    async with server.lock:
        await server.kill()
        await asyncio.sleep(strike.length_s)
        await server.start()
    return 1


async def _terminate_server(site: Site, strike: Strike) -> int:
    server = _target(site, strike)
    async with server.lock:
        code = await server.terminate()
        if code != 0:
            site.findings.violate("a server that is terminated exits with 0", f"{code}, see {server.log}")
        await asyncio.sleep(strike.length_s)
        await server.start()
    return 1


async def _kill_database(site: Site, strike: Strike) -> int:
    async with site.database_lock:
        await site.database.server.kill()
        await asyncio.sleep(strike.length_s)
        await site.database.start()
    return 1


async def _stop_database(site: Site, strike: Strike) -> int:
    async with site.database_lock:
        await site.database.server.stop("immediate")
        await asyncio.sleep(strike.length_s)
        await site.database.start()
    return 1


async def _stall_database(site: Site, strike: Strike) -> int:
    async with site.database_lock:
        stopped: list[psutil.Process] = []
        try:
            while fresh := [process for process in await site.database.processes() if process not in stopped]:
                stopped += fresh
                _signal(fresh, signal.SIGSTOP)
            await asyncio.sleep(strike.length_s)
        finally:
            _signal(reversed(stopped), signal.SIGCONT)
    return 1


async def _stall_backends(site: Site, strike: Strike) -> int:
    async with site.database_lock:
        while not (stopped := await _writers(site, int(strike.amount))):  # they may just be connecting anew
            await asyncio.sleep(_POLL_S)
        try:
            _signal(stopped, signal.SIGSTOP)
            await asyncio.sleep(strike.length_s)
        finally:
            _signal(stopped, signal.SIGCONT)
    return len(stopped)


async def _writers(site: Site, most: int) -> list[psutil.Process]:
    """Return some of the writers' backends."""
    connection = await site.database.connect()
    try:
        pids = [row["pid"] for row in await connection.fetch(_WRITERS, most)]
    finally:
        connection.terminate()
    return [process for process in await site.database.processes() if process.pid in pids]


async def _cut_network(site: Site, strike: Strike) -> int:
    servers = site.servers if strike.target is None else [site.servers[strike.target]]
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.lock)
        for server in servers:
            stack.push_async_callback(site.links.mend, server.number)
            await site.links.cut(server.number)
        await asyncio.sleep(strike.length_s)
    return 1


async def _fill_data_disk(site: Site, strike: Strike) -> int:
    """Strikes once a server has been refused for want of room."""
    disk = _disk(site.database.data_disk)
    async with site.database_lock:
        before = await _disk_full_errors(site)
        try:
            await asyncio.to_thread(disk.fill)
            while await _disk_full_errors(site) <= before:
                await asyncio.sleep(_POLL_S)
            await asyncio.sleep(strike.length_s)
        finally:
            disk.free()
    return 1


async def _fill_wal_disk(site: Site, strike: Strike) -> int:
    """Strikes once the server has panicked: used segments are given up until it needs a new one."""
    disk = _disk(site.database.wal_disk)
    log = site.database.server.log_file
    async with site.database_lock:
        written_before = log.stat().st_size
        try:
            await asyncio.to_thread(disk.fill)
            connection = await site.database.connect()
            try:
                with suppress(*DOWN):
                    while True:
                        await connection.execute(
                            "SELECT pg_logical_emit_message(false, 'storm', repeat('x', 8000)), pg_switch_wal()"
                        )
            finally:
                connection.terminate()
            await asyncio.sleep(strike.length_s)
        finally:
            disk.free()
        panicked = b"PANIC" in (await asyncio.to_thread(log.read_bytes))[written_before:]
        await site.database.start()
    return int(panicked)


async def _jump_server(site: Site, strike: Strike) -> int:
    """Strikes once the server dates a commit by its new clock, or finds that keys are ahead of it."""
    server = _target(site, strike)
    async with server.lock:
        refused_before = server.refused_ahead
        try:
            server.set_clock(strike.amount)
            while (
                server.refused_ahead == refused_before
                and abs(await _last_commit_s(server) - time.time() - strike.amount) > _DATED_S
            ):
                await asyncio.sleep(_POLL_S)
            await asyncio.sleep(strike.length_s)
        finally:
            server.set_clock(0.0)
    return 1


async def _jump_client(site: Site, strike: Strike) -> int:
    client = site.clients[strike.target or 0]
    async with client.clock_lock:
        try:
            client.offset_s = strike.amount
            await asyncio.sleep(strike.length_s)
        finally:
            client.offset_s = 0.0
    return 1


def _target(site: Site, strike: Strike) -> Server:
    assert strike.target is not None
    return site.servers[strike.target]


def _disk(disk: Disk | None) -> Disk:
    assert disk is not None, "the plan has faults for disks that are not there"
    return disk


async def _disk_full_errors(site: Site) -> float:
    """Return how often a server that runs was refused for want of room."""
    total = 0.0
    for server in site.servers:
        with suppress(*_SCRAPE_ERRORS):
            samples = await scrape(server.place.http_port, server.place.host)
            total += by_label(samples, "ingestor_database_errors_total", "class").get("disk_full", 0.0)
    return total


async def _last_commit_s(server: Server) -> float:
    with suppress(*_SCRAPE_ERRORS):
        samples = await scrape(server.place.http_port, server.place.host)
        return value_of(samples, "ingestor_last_commit_timestamp_seconds")
    return 0.0


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


_ACTORS: dict[Kind, Callable[[Site, Strike], Awaitable[int]]] = {
    Kind.BACKENDS: _terminate_backends,
    Kind.BEFORE_COMMIT: _ambush,
    Kind.DURING_COMMIT: _ambush,
    Kind.COMMIT_ANSWER: _ambush,
    Kind.SERVER_KILLED: _kill_server,
    Kind.SERVER_TERMINATED: _terminate_server,
    Kind.DATABASE_KILLED: _kill_database,
    Kind.DATABASE_STOPPED: _stop_database,
    Kind.DATABASE_STALLED: _stall_database,
    Kind.BACKENDS_STALLED: _stall_backends,
    Kind.NETWORK_CUT: _cut_network,
    Kind.DATA_DISK_FULL: _fill_data_disk,
    Kind.WAL_DISK_FULL: _fill_wal_disk,
    Kind.SERVER_CLOCK: _jump_server,
    Kind.CLIENT_CLOCK: _jump_client,
    **dict.fromkeys(MARKS, keep_rule),
    Kind.CHUNK_LOCKED: keep_chunk,
    Kind.POOLER_KILLED: kill_pooler,
}
