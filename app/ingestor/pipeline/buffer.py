"""The only queue between the calls and the database: bounded in bytes, taken from by idle connections.

The rule when a batch is due: at once where a connection is idle, unless the last flush started less than an interval
ago and fewer than ``batch_rows`` wait. Of the rules tried only this one serves a lone caller and many callers well.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ingestor.config import Settings
from ingestor.errors import InvalidRequestError, TransientError, Violation
from ingestor.pipeline.deferred import DeferredRequests
from ingestor.pipeline.held import Held, State
from ingestor.points import Points
from ingestor.storage.contract import Deferred, chunk_lock

HIGH_WATERMARK, LOW_WATERMARK = 0.8, 0.6
MAX_CHUNKS = 32
"""Chunks that one flush may touch: making or locking many slows it twentyfold (measured)."""
MAX_REQUEST_CHUNKS = 1_000
"""Chunks that one request may touch: 3,000 new ones were not made within a flush's minute, at any try (measured)."""
MAX_REQUESTS = 65_536
"""Requests of one flush, while none fails."""
DEFERRED_SHARE = 0.25
"""Share of the buffer that deferred requests may take before more that would wait with them are refused."""


@dataclass(frozen=True, slots=True)
class BatchRules:
    """When a batch is due and how large it gets; times in seconds."""

    rows: int
    max_rows: int
    interval_s: float
    lazy_interval_s: float
    limit_bytes: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "BatchRules":
        """Return the rules that ``settings`` ask for."""
        return cls(
            settings.batch_rows,
            settings.batch_max_rows,
            settings.flush_interval_s,
            settings.lazy_flush_interval_s,
            settings.buffer_bytes,
        )


class Buffer:
    """Held requests in order of arrival. ``points`` and ``size_bytes`` count those that wait and those being stored.

    A request that touches many chunks is wide: it goes alone, and one at a time, so that fresh points pass it on the
    other connection. A deferred one is tried alone as well, between the others.
    """

    def __init__(self, rules: BatchRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._fresh: dict[int, Held] = {}
        self._wide: dict[int, Held] = {}
        self._wide_in_flight: Held | None = None
        self._deferred = DeferredRequests(clock)
        self._most_requests = MAX_REQUESTS
        self._last_was_alone = False
        self._rows = 0
        self._awaited = 0
        self._last_start = float("-inf")
        self._full = False
        self._wake = asyncio.Event()
        self._sleeping_until = float("-inf")
        self.points = 0
        self.size_bytes = 0
        self.chunk_us = 86_400_000_000

    def __iter__(self) -> Iterator[Held]:
        return iter([*self._fresh.values(), *self._wide.values(), *self._deferred])

    def check_room(self) -> None:
        """Refuse where the buffer is full: from the high watermark until it is below the low one.

        Raises:
            TransientError: no room.
        """
        limit = self._rules.limit_bytes
        self._full = self.size_bytes >= limit * (LOW_WATERMARK if self._full else HIGH_WATERMARK)
        if self._full:
            raise TransientError("the buffer is full", reason="buffer_full")

    def check_width(self, points: Points) -> None:
        """Refuse points that touch more chunks than one transaction can make in its time.

        Raises:
            InvalidRequestError: they are to be sent in parts.
        """
        first, last = self._span(points)
        if last - first < MAX_REQUEST_CHUNKS:
            return
        chunks = len(np.unique(points.times_us // self.chunk_us))
        if chunks > MAX_REQUEST_CHUNKS:
            text = f"touch {chunks:,} chunks of time, {MAX_REQUEST_CHUNKS:,} at most; send them in parts, by time"
            raise InvalidRequestError([Violation("points", "too_wide", text)], {"too_wide": len(points)})

    def check_locks(self, points: Points) -> None:
        """Refuse points of chunks that are locked, once a share of the buffer waits already.

        Raises:
            TransientError: they would have to wait.
        """
        deferred = self._lock_on(points)
        if deferred is not None and self._deferred.size_bytes > self._rules.limit_bytes * DEFERRED_SHARE:
            raise deferred.error

    def add(self, held: Held) -> None:
        """Take a request in; ``check_room``, ``check_width`` and ``check_locks`` came before."""
        self.points += held.points
        self.size_bytes += held.size_bytes
        deferred = self._lock_on(held.part.points)
        if deferred is None:
            self._enqueue(held)
        else:
            self.defer(held, deferred)

    def add_repeat(self, held: Held, points: int) -> None:
        """Count points that wait along with a held request; negative ones leave."""
        held.repeats += points
        self.points += points

    def mark_answered(self, held: Held) -> None:
        """Note that a caller has an answer that relies on this request: it can't be withdrawn any more."""
        if not held.part.answered and self._is_queued(held):
            self._awaited -= 1
        held.part.answered = True

    def give_back(self, held: Held) -> None:
        """Put a request back whose flush certainly stored nothing."""
        if held.state is not State.SETTLED:
            self._enqueue(held)

    def defer(self, held: Held, deferred: Deferred) -> None:
        """Let a request wait whose flush certainly stored nothing, see ``contract.Deferred``."""
        if held.state is not State.SETTLED:
            held.state, held.deferred = State.WAITING, deferred
            self._deferred.add(held, deferred.waits_for)
            self._wake_if_due()

    def shrink(self, requests: int) -> None:
        """Take half of ``requests`` next time: a batch of so many lost its connection, and one may be to blame."""
        self._most_requests = max(1, requests // 2)

    def grow(self) -> None:
        """Take more requests again: a batch was stored."""
        self._most_requests = min(MAX_REQUESTS, self._most_requests * 2)

    def hurry(self) -> None:
        """Try deferred requests again at once, and often, for the server stops."""
        self._deferred.hurry()
        self._wake_if_due()

    def remove(self, held: Held) -> None:
        """Let a request go that is settled or withdrawn."""
        self._dequeue(held)
        self.points -= held.points
        self.size_bytes -= held.size_bytes
        held.state = State.SETTLED

    async def take(self, until: float) -> list[Held]:
        """Wait until a batch is due and take it, an empty one at the clock's ``until``; for one caller at a time.

        ``release`` must follow once the batch is dealt with.
        """
        while True:
            now = self._clock()
            due = self._due()
            if due <= now:
                self._last_start = now
                return self._compose()
            if now >= until:
                return []
            await self._sleep(min(until, due))

    def release(self, batch: list[Held]) -> None:
        """Note that a taken batch is dealt with; the next wide one may go."""
        if batch and batch[0] is self._wide_in_flight:
            self._wide_in_flight = None
        for held in self._deferred.end_try(batch[0]) if batch else ():
            self._dequeue(held)
            self._enqueue(held)
        self._wake_if_due()

    async def _sleep(self, until: float) -> None:
        self._wake.clear()
        self._sleeping_until = until
        timer = asyncio.get_running_loop().call_later(min(3600.0, until - self._clock()), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._sleeping_until = float("-inf")

    def _wake_if_due(self) -> None:
        if self._due() < self._sleeping_until:
            self._wake.set()

    def _due(self) -> float:
        """Return when the next batch is due, infinity where nothing can go."""
        due = self._deferred.due_at()
        if not self._fresh and not self._wide_may_go():
            return due
        if self._rows >= self._rules.rows:
            return float("-inf")
        interval_s = self._rules.interval_s if self._awaited else self._rules.lazy_interval_s
        return min(due, self._last_start + interval_s)

    def _wide_may_go(self) -> bool:
        return bool(self._wide) and self._wide_in_flight is None

    def _compose(self) -> list[Held]:
        """Take the next deferred or wide request alone, or fresh ones in order while rows and chunks fit."""
        taken = [] if self._fresh and self._last_was_alone else self._compose_alone()
        self._last_was_alone = bool(taken)
        taken = taken or self._compose_fresh()
        for held in taken:
            self._dequeue(held)
            held.state = State.FLUSHING
        return taken

    def _compose_alone(self) -> list[Held]:
        if self._deferred.due_at() <= self._clock():
            return [self._deferred.next()]
        if self._wide_may_go():
            self._wide_in_flight = next(iter(self._wide.values()))
            return [self._wide_in_flight]
        return []

    def _compose_fresh(self) -> list[Held]:
        taken: list[Held] = []
        rows = 0
        chunks: set[int] = set()
        for held in self._fresh.values():
            rows += held.rows
            first, last = self._span(held.part.points)
            if first not in chunks or first != last:
                chunks.update(range(first, last + 1))
            full = rows > self._rules.max_rows or len(chunks) > MAX_CHUNKS or len(taken) == self._most_requests
            if taken and full:
                break
            taken.append(held)
        return taken

    def _enqueue(self, held: Held) -> None:
        held.state, held.deferred = State.WAITING, None
        first, last = self._span(held.part.points)
        if last - first >= MAX_CHUNKS:
            self._wide[id(held)] = held
        else:
            self._fresh[id(held)] = held
            self._rows += held.rows
        self._awaited += not held.part.answered
        self._wake_if_due()

    def _dequeue(self, held: Held) -> None:
        """Take a request out of its queue, if it is in one."""
        if self._deferred.remove(held) or not self._is_queued(held):
            return
        self._awaited -= not held.part.answered
        if self._fresh.pop(id(held), None) is None:
            del self._wide[id(held)]
        else:
            self._rows -= held.rows

    def _is_queued(self, held: Held) -> bool:
        return id(held) in self._fresh or id(held) in self._wide

    def _lock_on(self, points: Points) -> Deferred | None:
        """Return what points must wait for that somebody has locked, None if they need not wait."""
        first, last = self._span(points)
        numbers = range(first, last + 1) if self._deferred.size_bytes else ()
        locked = (number for number in numbers if chunk_lock(number) in self._deferred)
        return next(map(Deferred.behind_chunk, locked), None)

    def _span(self, points: Points) -> tuple[int, int]:
        """Return the numbers of the first and the last chunk that ``points`` touch."""
        return points.first_us // self.chunk_us, points.last_us // self.chunk_us
