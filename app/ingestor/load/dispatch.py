"""Keep a bounded number of requests in flight, count how each ends, and stop when told to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ingestor.client.attempts import Attempts
from ingestor.client.clock import Clock
from ingestor.client.encode import Request
from ingestor.client.sender import RequestSender, Verdict
from ingestor.load.feeds import DueRequest
from ingestor.load.totals import Totals


class Dispatcher:
    """Sends what a feed yields, at most ``slots`` requests at a time, and counts into ``totals``."""

    def __init__(self, sender: RequestSender, totals: Totals, *, slots: int, drain_s: float, clock: Clock) -> None:
        self._sender = sender
        self._totals = totals
        self._drain_s = drain_s
        self._clock = clock
        self._in_flight: set[asyncio.Task[None]] = set()
        # A slot is the moment it became free, from which a request without a moment of its own counts.
        self._free: asyncio.Queue[float] = asyncio.Queue(slots)
        for _ in range(slots):
            self._free.put_nowait(clock.monotonic_s())

    async def run(self, feed: AsyncGenerator[DueRequest, None], stop: asyncio.Event, duration_s: float | None) -> None:
        """Return when the feed is exhausted, or ``duration_s`` is over, and every request has ended.

        Once ``stop`` is set nothing more is sent, and what is in flight has ``drain_s`` seconds to end.
        """
        self._totals.pauses.mark(self._clock.monotonic_s())
        async with asyncio.TaskGroup() as group:
            producing = group.create_task(self._produce(feed, group, duration_s))
            stopping = group.create_task(stop.wait())
            await asyncio.wait({producing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not producing.done():
                producing.cancel()
                await asyncio.wait({producing, *self._in_flight}, timeout=self._drain_s)
                for task in self._in_flight:
                    task.cancel()
        self._totals.pauses.mark(self._clock.monotonic_s())

    async def _produce(
        self, feed: AsyncGenerator[DueRequest, None], group: asyncio.TaskGroup, duration_s: float | None
    ) -> None:
        bound = asyncio.timeout(duration_s)
        try:
            async with bound, aclosing(feed):
                async for due_s, request in feed:
                    free_s = await self._free.get()
                    task = group.create_task(self._send(request, free_s if due_s is None else due_s))
                    self._in_flight.add(task)
                    task.add_done_callback(self._in_flight.discard)
        except TimeoutError:
            if not bound.expired():
                raise
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _send(self, request: Request, due_s: float) -> None:
        self._totals.sent_points += request.points
        ended = False
        try:
            outcome = await self._sender.send(request, Attempts(self._totals.retried))
            ended = True
            now_s = self._clock.monotonic_s()
            self._totals.settle(request.points, outcome, now_s - due_s)
            if outcome.verdict is Verdict.ACKED:
                self._totals.pauses.mark(now_s)
        finally:
            if not ended:
                self._totals.unanswered_points += request.points
            self._free.put_nowait(self._clock.monotonic_s())
