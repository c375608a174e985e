"""A fake server on the loopback address for each test."""

from collections.abc import AsyncIterator

import pytest

from support.fake_ingestor import FakeIngestor, run_fake_ingestor


@pytest.fixture
async def fake() -> AsyncIterator[FakeIngestor]:
    async with run_fake_ingestor() as server:
        yield server
