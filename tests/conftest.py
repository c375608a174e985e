"""The database fixtures. A machine without a TimescaleDB fails these tests; it never skips them."""

import os
import signal

# gRPC's handlers around fork() crash a child now and then, and the tests start PostgreSQL beside gRPC's threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# Under nohup SIGHUP is ignored, by all that is started as well; with a handler of our own by us alone.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
# What a developer's shell says of another database would complete the URLs of the tests' own.
for name in [name for name in os.environ if name.startswith("PG")]:
    del os.environ[name]

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ingestor.local import default_cache
from support.database import Database, DatabaseServer, PrivateServer, prepare_cluster, start_database_server

# By default an example that takes 0.2 s fails, and so do examples that take long to make: a slow machine does both.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """Run a TimescaleDB for this test process; a server belongs to no event loop, so each step has its own."""
    measured = any(item.get_closest_marker("alone") for item in request.session.items)
    cache = default_cache(os.environ.get("XDG_CACHE_HOME"))
    server = asyncio.run(start_database_server(cache, in_memory=not measured))
    yield server
    asyncio.run(server.close())


@pytest.fixture(scope="session")
def prepared_cluster(database_server: DatabaseServer) -> Path:
    """Return a stopped cluster with a migrated database, to be copied."""
    return asyncio.run(prepare_cluster(database_server))


@pytest.fixture
async def database(database_server: DatabaseServer) -> AsyncIterator[Database]:
    """Give a migrated database of the test's own."""
    async with database_server.clone() as database:
        yield database


@pytest.fixture
async def private_server(database_server: DatabaseServer, prepared_cluster: Path) -> AsyncIterator[PrivateServer]:
    """Give a server of the test's own, to be stopped and killed."""
    async with database_server.private(prepared_cluster) as private_server:
        yield private_server
