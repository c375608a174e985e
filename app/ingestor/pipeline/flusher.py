"""Run the lanes, end waits that take too long, and empty everything at the end."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from opentelemetry.trace import Tracer

from ingestor.errors import IngestorError, TransientError
from ingestor.pipeline.buffer import Buffer
from ingestor.pipeline.drain import DrainEstimate
from ingestor.pipeline.flush_spans import FlushSpans
from ingestor.pipeline.health import DatabaseHealth
from ingestor.pipeline.held import Held, State
from ingestor.pipeline.lane import Lane, LaneTools, Schedule
from ingestor.pipeline.settlement import Settlement, commit_unknown_error, stopping_error
from ingestor.pipeline.validate import Retention
from ingestor.storage.contract import Writer
from ingestor.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL_S = 0.25
_DRAIN_INTERVAL_S = 0.02
_HUNG_S = 5.0
"""Silence after which a draining server counts the database as away."""


class Flusher:
    """Moves what is held into the database."""

    def __init__(
        self,
        writers: Sequence[Writer],
        buffer: Buffer,
        settlement: Settlement,
        health: DatabaseHealth,
        metrics: Metrics,
        *,
        commit_timeout_s: float,
        clock: Callable[[], float],
        retention: Retention,
        tracer: Tracer | None = None,
    ) -> None:
        self._buffer = buffer
        self._settlement = settlement
        self._health = health
        self._commit_timeout_s = commit_timeout_s
        self._clock = clock
        self._draining = False
        self._flushes_seen, self._progress_at = 0, 0.0
        self._drain = DrainEstimate(len(writers))
        tools = LaneTools(
            buffer,
            settlement,
            health,
            metrics,
            self._drain,
            Schedule(clock),
            asyncio.Lock(),
            FlushSpans(tracer),
            retention,
        )
        self._lanes = [Lane(number, writer, tools) for number, writer in enumerate(writers)]

    async def run(self) -> None:
        """Store what comes in until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in self._lanes:
                    tasks.create_task(lane.run())
                tasks.create_task(self._sweep())
        finally:
            await asyncio.gather(*(lane.close() for lane in self._lanes))

    def oldest_held_s(self) -> float:
        """Return the age of the oldest held request, in seconds."""
        oldest = min((held.received_at for held in self._held()), default=None)
        return 0.0 if oldest is None else self._clock() - oldest

    def drain_s(self) -> float:
        """Return how long storing what is held takes at the rate of late, in seconds."""
        return self._drain.wait_s(self._buffer.points)

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing is held, ``timeout_s`` at most.

        With the database away nobody is kept waiting, and neither is the end for what nobody is owed: a COMMIT whose
        outcome is unknown, and whose callers were told so.
        """
        self._draining = True
        self._buffer.hurry()
        self._progress_at = self._clock()
        give_up_at = self._clock() + timeout_s
        while self._buffer.points and self._clock() < give_up_at:
            self._end_waits()
            if not self._health.up and not self._is_owed():
                return
            await asyncio.sleep(_DRAIN_INTERVAL_S)

    def _is_owed(self) -> bool:
        """Tell whether anybody waits for, or was promised, what is held."""
        return any(held.waiters or held.part.answered for held in self._held())

    def abandon(self) -> int:
        """Give up everything that is still held and return how many buffered points are lost; call after ``run``."""
        lost = 0
        for held in self._held():
            if held.state is State.SETTLED:
                continue
            lost += held.points if held.part.answered else 0
            self._settlement.abandon(held)
        if lost:
            logger.error("buffered points given up", extra={"points": lost, "last_error": self._health.last_error})
        return lost

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self._end_waits()

    def _end_waits(self) -> None:
        """Answer callers that waited too long, or whose wait has no prospect because the server stops."""
        hopeless = self._draining and self._database_is_away()
        latest = self._clock() - self._commit_timeout_s
        for held in self._held():
            if hopeless or held.received_at < latest:
                self._settlement.withdraw(held, self._reason(held))

    def _database_is_away(self) -> bool:
        """Tell whether no lane can write, or none has stored anything for seconds: the database may hang."""
        if self._drain.flushes != self._flushes_seen:
            self._flushes_seen, self._progress_at = self._drain.flushes, self._clock()
        return not self._health.up or self._clock() - self._progress_at > _HUNG_S

    def _reason(self, held: Held) -> IngestorError:
        if held.state is not State.WAITING:
            return commit_unknown_error()
        if self._draining:
            return stopping_error()
        if held.deferred is not None:
            return held.deferred.error
        if self._health.up:
            return TransientError("not committed in time", reason="commit_timeout")
        return TransientError("the database is away", reason="database_away")

    def _held(self) -> list[Held]:
        return [*self._buffer, *(held for lane in self._lanes for held in lane.in_flight)]
