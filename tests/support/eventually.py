"""Wait for a state instead of sleeping for a time."""

import asyncio
from collections.abc import Callable

POLL_S = 0.01
HANG_S = 300.0
"""A deadline that only bounds a hang: many times what it takes on the slowest machine."""


async def eventually(condition: Callable[[], bool], timeout_s: float = HANG_S) -> None:
    """Return once ``condition`` holds.

    Raises:
        AssertionError: it does not within ``timeout_s`` seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the awaited state was not reached in time"
        await asyncio.sleep(POLL_S)
