"""One connection's life: connect, take a batch when idle, store it, and decide what each kind of failure calls for."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingestor.pipeline.buffer import Buffer
from ingestor.pipeline.drain import DrainEstimate
from ingestor.pipeline.failures import FailedFlush
from ingestor.pipeline.flush_spans import FlushSpans
from ingestor.pipeline.health import DatabaseHealth, retry_delay_s
from ingestor.pipeline.held import Held, State
from ingestor.pipeline.settlement import Settlement
from ingestor.pipeline.validate import Retention
from ingestor.storage.contract import Batch, Deferred, Duplicate, ErrorClass, FlushError, Outcome, Stored, Writer
from ingestor.storage.set_aside import REFUSED
from ingestor.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

HOUSEKEEPING_INTERVAL_S = 50.0
"""Less than a minute, so that every minute has its beat and a changed retention is known within one."""
IDLE_CHECK_S = 5.0
"""Time after which an idle lane asks whether its database is still there: without traffic nothing else would tell."""


class Schedule:
    """When to keep house: about once a minute and process, by whichever lane is free then."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.due_at = clock()

    def claim(self) -> bool:
        """Tell whether it is time, and if so put the next time off."""
        if self._clock() < self.due_at:
            return False
        self.due_at = self._clock() + HOUSEKEEPING_INTERVAL_S
        return True

    @property
    def next_look_at(self) -> float:
        """Return until when an idle lane may wait."""
        return min(self.due_at, self._clock() + IDLE_CHECK_S)


@dataclass(frozen=True, slots=True)
class LaneTools:
    """What all lanes of a process share; ``taking`` lets one lane wait for a batch at a time."""

    buffer: Buffer
    settlement: Settlement
    health: DatabaseHealth
    metrics: Metrics
    drain: DrainEstimate
    housekeeping: Schedule
    taking: asyncio.Lock
    spans: FlushSpans
    retention: Retention


@dataclass(slots=True)
class _Unknown:
    """The parts that an unanswered COMMIT would have stored, and how; see ``Lane._remember``."""

    helds: list[Held]
    batch: Batch
    if_committed: Sequence[Outcome]


class Lane:
    """One writer and its task."""

    def __init__(self, number: int, writer: Writer, tools: LaneTools) -> None:
        self._number = number
        self._writer = writer
        self._tools = tools
        self._unknown: _Unknown | None = None
        self._failed_flush = FailedFlush(
            number, self._flush_and_settle, writer.prove, tools.buffer, tools.settlement, tools.health
        )
        self.in_flight: list[Held] = []

    async def run(self) -> None:
        """Store batches until cancelled, through every failure."""
        attempt = 0
        while True:
            try:
                await self._writer.connect()
                self._tools.buffer.chunk_us = self._writer.chunk_us
                self._tools.retention.us = self._writer.retention_us
                self._tools.health.lane_works(self._number)
                while True:
                    await self._step()
                    attempt = 0
            except FlushError as error:
                attempt += 1
                self._tools.health.lane_failed(self._number, error)
                await asyncio.sleep(retry_delay_s(attempt, error.error_class))

    async def close(self) -> None:
        """End the connection; call when the task has ended."""
        await self._writer.close()

    async def _step(self) -> None:
        """Do one thing: find out an unknown outcome, keep house, store the next batch, or see that somebody answers."""
        if self._unknown is not None:
            await self._find_out(self._unknown)
            return
        if self._tools.housekeeping.claim():
            await self._writer.housekeep()
            self._tools.retention.us = self._writer.retention_us
        async with self._tools.taking:
            taken = await self._tools.buffer.take(self._tools.housekeeping.next_look_at)
        if not taken:
            await self._writer.check()
            return
        self.in_flight = taken
        try:
            await self._store(taken)
        finally:
            self._tools.buffer.release(taken)
            self._forget_settled()

    async def _store(self, helds: list[Held]) -> None:
        try:
            await self._flush_and_settle(helds)
        except FlushError as error:
            if error.if_committed is None:
                await self._failed_flush.handle(error, helds)
            else:
                raise

    async def _flush_and_settle(self, helds: list[Held]) -> None:
        """Flush requests and settle them.

        Raises:
            FlushError: none is settled, unless the outcome of COMMIT is unknown; then this lane will find it out.
        """
        alone = len(helds) == 1 and helds[0].deferred is not None
        batch = Batch([held.part for held in helds], self._writer.mint_key(), alone=alone)
        started = time.perf_counter()
        try:
            outcomes = await self._flush(helds, batch)
        except FlushError as error:
            if error.if_committed is not None:
                self._remember(helds, batch, error.if_committed)
            raise
        self._tools.drain.observe(batch.rows, time.perf_counter() - started)
        self._settle(helds, outcomes)

    async def _flush(self, helds: list[Held], batch: Batch) -> Sequence[Outcome]:
        with self._tools.spans.around(self._number, helds, batch):
            return await self._writer.flush(batch)

    def _remember(self, helds: list[Held], batch: Batch, if_committed: Sequence[Outcome]) -> None:
        """Keep what hangs on the lost COMMIT, the parts that it stored; the other outcomes hold either way."""
        stored = [index for index, outcome in enumerate(if_committed) if isinstance(outcome, Stored)]
        parts = Batch([batch.parts[index] for index in stored], batch.own_key, repeated=True)
        if stored:
            self._unknown = _Unknown([helds[i] for i in stored], parts, [if_committed[i] for i in stored])
        for index in stored:
            helds[index].state = State.UNKNOWN
        for held, outcome in zip(helds, if_committed, strict=True):
            if held.state is not State.UNKNOWN:
                self._tools.settlement.settle(held, outcome)

    async def _find_out(self, unknown: _Unknown) -> None:
        """Flush the same batch again: the ledger tells whether the first COMMIT took effect."""
        try:
            outcomes = await self._flush(unknown.helds, unknown.batch)
        except FlushError as error:
            if error.if_committed is not None:  # unknown again: the newer attempt's rows, where it stored any
                pairs = zip(error.if_committed, unknown.if_committed, strict=True)
                unknown.if_committed = [now if isinstance(now, Stored) else first for now, first in pairs]
            raise
        # What the ledger calls a duplicate, the first attempt stored.
        pairs = zip(outcomes, unknown.if_committed, strict=True)
        outcomes = [first if isinstance(now, Duplicate) else now for now, first in pairs]
        still = [index for index, outcome in enumerate(outcomes) if _is_open(outcome)]
        ended = [index for index in range(len(outcomes)) if index not in still]
        self._unknown = None
        if still:  # the lost backend has not ended yet, so its transaction is still open
            parts = Batch([unknown.batch.parts[index] for index in still], unknown.batch.own_key, repeated=True)
            if_committed = [unknown.if_committed[index] for index in still]
            self._unknown = _Unknown([unknown.helds[index] for index in still], parts, if_committed)
        self._settle([unknown.helds[index] for index in ended], [outcomes[index] for index in ended])
        self._forget_settled()
        if still:
            await asyncio.sleep(retry_delay_s(1, ErrorClass.CONNECTION))

    def _forget_settled(self) -> None:
        """Keep in flight what a cancelled flush or an unknown outcome leaves open."""
        self.in_flight = [held for held in self.in_flight if held.state in (State.FLUSHING, State.UNKNOWN)]

    def _settle(self, helds: list[Held], outcomes: Sequence[Outcome]) -> None:
        rows = sum(held.rows for held in helds)
        self._tools.metrics.flush_rows.observe(rows)
        if any(isinstance(outcome, Stored | Duplicate) for outcome in outcomes):
            self._tools.health.lane_works(self._number, committed=True)
            self._tools.buffer.grow()
            self._tools.health.note_refusal(_none_taken(outcomes))
        for held, outcome in zip(helds, outcomes, strict=True):
            self._tools.settlement.settle(held, outcome)


def _none_taken(outcomes: Sequence[Outcome]) -> str | None:
    """Return why no point was stored, None if some were or there was none to store."""
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    rejects = [reject for outcome in stored for reject in outcome.rejects if reject.reason == REFUSED]
    return rejects[0].message if rejects and not any(outcome.accepted for outcome in stored) else None


def _is_open(outcome: Outcome) -> bool:
    """Return True if the key could not even be claimed: a part that waits behind its claim is certainly not stored."""
    return isinstance(outcome, Deferred) and not outcome.claimed
