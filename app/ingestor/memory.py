"""Keep freed memory while there is work, and give it back to the system when there is none."""

import asyncio
import ctypes
import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

QUIET_S = 2.0
"""How long nothing may be going on before memory is given back: it takes some milliseconds of a lock on the heap."""
_LOOK_S = 0.5

_MAPPED_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Source: mallopt(3) and malloc.h of glibc."""


def keep_freed_memory() -> None:
    """Have glibc use freed memory again instead of handing it to the system and asking for it anew, page by page.

    By default it does so above 128 KiB, which each flush and many a message pass: a seventh of the server's time
    (measured). Blocks above ``_MAPPED_BYTES`` still go at once. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


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
