"""Wait for a state instead of sleeping for a time."""

import asyncio
from collections.abc import Callable

POLL_S = 0.01


async def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return once ``condition`` holds.

    Raises:
        AssertionError: it does not within ``timeout_s`` seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the awaited state was not reached in time"
        await asyncio.sleep(POLL_S)
