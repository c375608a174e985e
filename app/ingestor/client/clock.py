"""The clock that sending is paced and measured with; tests pass one that they turn by hand."""

import asyncio
import time


class Clock:
    """Monotonic time for intervals, wall time for points, and a pause."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; never goes back."""
        return time.monotonic()

    def unix_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()

    async def sleep(self, pause_s: float) -> None:
        """Wait for ``pause_s`` seconds."""
        await asyncio.sleep(pause_s)
