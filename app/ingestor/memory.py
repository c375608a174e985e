"""Give memory that a flood of messages left behind back to the system."""

import asyncio
import ctypes
import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

QUIET_S = 2.0
"""How long nothing may be going on before memory is given back: it takes some milliseconds of a lock on the heap."""
_LOOK_S = 0.5


async def trim_when_quiet(busy: Callable[[], bool]) -> None:
    """Have glibc return free pages whenever work has paused, until cancelled.

    Its arenas keep what thousands of small pieces of messages took, a few of which live on between the freed ones.
    Other C libraries have no such function, and then nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    quiet_since: float | None = None
    worked = False
    while True:
        await asyncio.sleep(_LOOK_S)
        now = time.monotonic()
        if busy():
            worked, quiet_since = True, None
        elif quiet_since is None:
            quiet_since = now
        elif worked and now - quiet_since >= QUIET_S:
            worked = False
            started = time.perf_counter()
            await asyncio.to_thread(trim, 0)
            logger.info("memory trimmed", extra={"seconds": round(time.perf_counter() - started, 4)})
