"""Clusters of one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingestor.local import LocalServer
from support.database import DatabaseServer, copy_cluster


@pytest.fixture
async def new_directory(database_server: DatabaseServer) -> AsyncIterator[Path]:
    """Give the place of a cluster that is not made yet, in the cache as a user's is."""
    async with database_server.private_directory(in_cache=True) as directory:
        yield directory


@pytest.fixture
async def directory(new_directory: Path, prepared_cluster: Path) -> Path:
    """Give the place of a cluster that was stopped."""
    await copy_cluster(prepared_cluster, new_directory)
    return new_directory


@pytest.fixture
async def server(database_server: DatabaseServer, directory: Path) -> AsyncIterator[LocalServer]:
    """Give a server that was never started."""
    server = LocalServer(database_server.installation, directory)
    yield server
    await server.kill()
