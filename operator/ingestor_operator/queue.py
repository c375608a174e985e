"""The one work queue: a key is in it once, is worked on by one worker at a time, and comes back later if it failed.

Knows neither Kubernetes nor databases. The semantics are those of client-go's work queue.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

from ingestor_operator.errors import OperatorError

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""

Process = Callable[[Key], Awaitable[float | None]]
"""Works on a key; returns after how many seconds it wants to be called again, None for not by itself."""

BASE_DELAY_S = 1.0
MAX_DELAY_S = 60.0


def retry_delay_s(failures: int) -> float:
    """Return the pause after the given number of failures in a row (1 or more), in seconds, jittered by a fifth."""
    delay = min(MAX_DELAY_S, BASE_DELAY_S * 2.0 ** min(failures - 1, 16))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret


class WorkQueue:
    """Coalesces keys; the earliest wish wins."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._moved = clock()
        self._changed = asyncio.Event()
        self._taking = asyncio.Lock()

    def add(self, key: Key, delay_s: float = 0.0) -> None:
        """Have ``key`` worked on in ``delay_s`` seconds at the latest; if it is being worked on, then once more."""
        due = self._clock() + delay_s
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._changed.set()

    @property
    def waiting(self) -> int:
        """Return how many keys are due and not yet worked on."""
        now = self._clock()
        return sum(1 for due in self._due.values() if due <= now)

    @property
    def oldest_wait_s(self) -> float:
        """Return for how long the first key has been due without being taken, in seconds."""
        ready = [due for key, due in self._due.items() if key not in self._running]
        return max(0.0, self._clock() - min(ready)) if ready else 0.0

    @property
    def standstill_s(self) -> float:
        """Return for how long work has been due while none was taken or done, in seconds."""
        return min(self.oldest_wait_s, self._clock() - self._moved)

    @property
    def longest_running_s(self) -> float:
        """Return for how long the oldest work is going on, in seconds."""
        return max(0.0, self._clock() - min(self._running.values())) if self._running else 0.0

    async def run(self, workers: int, process: Process) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(process))

    async def _work(self, process: Process) -> None:
        while True:
            async with self._taking:
                key = await self._take()
            self._running[key] = self._moved = self._clock()
            try:
                again_s = await process(key)
            except Exception as error:  # noqa: BLE001 - the outermost loop: one fault must not end the others
                again_s = self._failed(key, error)
            else:
                self._failures.pop(key, None)
            finally:
                del self._running[key]
                self._moved = self._clock()
                self._changed.set()
            if again_s is not None:
                self.add(key, again_s)

    def _failed(self, key: Key, error: Exception) -> float:
        """Count and log a failure; return the pause before the next attempt, in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        extra = {"namespace": key[0], "ingestor": key[1], "error": str(error) or type(error).__name__}
        if isinstance(error, OperatorError | TimeoutError):
            logger.warning("reconcile failed, will retry", extra=extra)
        else:
            logger.error("reconcile failed, will retry", extra=extra, exc_info=error)
        return retry_delay_s(self._failures[key])

    async def _take(self) -> Key:
        """Return the key that is due first and not being worked on; wait for one."""
        while True:
            self._changed.clear()
            ready = [(due, key) for key, due in self._due.items() if key not in self._running]
            due, key = min(ready, default=(float("inf"), ("", "")))
            wait_s = due - self._clock()
            if wait_s <= 0:
                del self._due[key]
                return key
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, 60.0)):
                    await self._changed.wait()
