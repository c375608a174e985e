"""The only queue between the calls and the database: bounded in bytes, taken from by idle connections.

The rule when a batch is due: at once where a connection is idle, unless the last flush started less than an interval
ago and fewer than ``batch_rows`` wait. Of the rules tried only this one serves a lone caller and many callers well.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingestor.config import Settings
from ingestor.errors import TransientError
from ingestor.pipeline.held import Held, State

HIGH_WATERMARK, LOW_WATERMARK = 0.8, 0.6
MAX_CHUNKS = 32
"""Chunks that one flush may touch: making or locking many slows it twentyfold (measured)."""


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
    other connection.
    """

    def __init__(self, rules: BatchRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._fresh: dict[int, Held] = {}
        self._wide: dict[int, Held] = {}
        self._wide_in_flight: Held | None = None
        self._last_was_wide = False
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
        return iter([*self._fresh.values(), *self._wide.values()])

    def check_room(self) -> None:
        """Refuse where the buffer is full: from the high watermark until it is below the low one.

        Raises:
            TransientError: no room.
        """
        limit = self._rules.limit_bytes
        self._full = self.size_bytes >= limit * (LOW_WATERMARK if self._full else HIGH_WATERMARK)
        if self._full:
            raise TransientError("the buffer is full", reason="buffer_full")

    def add(self, held: Held) -> None:
        """Take a request in; ``check_room`` came before."""
        self.points += held.points
        self.size_bytes += held.size_bytes
        self._enqueue(held)

    def add_repeat(self, held: Held, points: int) -> None:
        """Count points that wait along with a held request; negative ones leave."""
        held.repeats += points
        self.points += points

    def mark_answered(self, held: Held) -> None:
        """Note that a caller has an answer that relies on this request: it can't be withdrawn any more."""
        if held.state is State.WAITING and not held.part.answered:
            self._awaited -= 1
        held.part.answered = True

    def give_back(self, held: Held) -> None:
        """Put a request back whose flush certainly stored nothing."""
        if held.state is not State.SETTLED:
            self._enqueue(held)

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
        if not self._fresh and not self._wide_may_go():
            return float("inf")
        if self._rows >= self._rules.rows:
            return float("-inf")
        return self._last_start + (self._rules.interval_s if self._awaited else self._rules.lazy_interval_s)

    def _wide_may_go(self) -> bool:
        return bool(self._wide) and self._wide_in_flight is None

    def _compose(self) -> list[Held]:
        """Take the next wide request alone, or fresh ones in order while rows and chunks fit."""
        if self._wide_may_go() and not (self._fresh and self._last_was_wide):
            taken = [next(iter(self._wide.values()))]
            self._wide_in_flight = taken[0]
        else:
            taken = self._compose_fresh()
        self._last_was_wide = taken[0] is self._wide_in_flight
        for held in taken:
            self._dequeue(held)
            held.state = State.FLUSHING
        return taken

    def _compose_fresh(self) -> list[Held]:
        taken: list[Held] = []
        rows = 0
        chunks: set[int] = set()
        for held in self._fresh.values():
            rows += held.rows
            first, last = self._span(held)
            if first not in chunks or first != last:
                chunks.update(range(first, last + 1))
            full = rows > self._rules.max_rows or len(chunks) > MAX_CHUNKS
            if taken and (full or held.suspect):
                break
            taken.append(held)
            if held.suspect:
                break
        return taken

    def _enqueue(self, held: Held) -> None:
        held.state = State.WAITING
        first, last = self._span(held)
        if last - first >= MAX_CHUNKS:
            self._wide[id(held)] = held
        else:
            self._fresh[id(held)] = held
            self._rows += held.rows
        self._awaited += not held.part.answered
        self._wake_if_due()

    def _dequeue(self, held: Held) -> None:
        """Take a request out of its queue, if it is in one."""
        if self._fresh.pop(id(held), None) is not None:
            self._rows -= held.rows
        elif self._wide.pop(id(held), None) is None:
            return
        self._awaited -= not held.part.answered

    def _span(self, held: Held) -> tuple[int, int]:
        """Return the numbers of the first and the last chunk that a request touches."""
        points = held.part.points
        return points.first_us // self.chunk_us, points.last_us // self.chunk_us
