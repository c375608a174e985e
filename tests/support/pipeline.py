"""The pipeline without gRPC and SQL: requests made by hand, and everything below ``Ingest`` wired to fake writers."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import numpy as np
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from ingestor.pipeline.accounting import Accounting
from ingestor.pipeline.buffer import BatchRules, Buffer
from ingestor.pipeline.flusher import Flusher
from ingestor.pipeline.health import DatabaseHealth
from ingestor.pipeline.held import Held, HeldKeys
from ingestor.pipeline.settlement import Settlement
from ingestor.pipeline.validate import Retention
from ingestor.points import Points, Series, SeriesTable
from ingestor.storage.contract import Part, Settled
from ingestor.telemetry.metrics import Metrics
from support.fake_writer import DAY_US, FakeDatabase, FakeWriter
from support.virtual_time import virtual_clock

NOON_US = 20_000 * DAY_US + DAY_US // 2
RULES = BatchRules(rows=100, max_rows=250, interval_s=0.003, lazy_interval_s=0.05, limit_bytes=10_000_000)


def make_points(count: int, *, days: int = 1, at_us: int = NOON_US, name: str = "m") -> Points:
    """Return ``count`` points of one series, spread over ``days`` chunks of a day that end at ``at_us``."""
    table = SeriesTable()
    slot = table.intern(Series("test", name, ()))
    first_us = at_us - (days - 1) * DAY_US
    times_us = np.linspace(first_us, at_us, count).astype(np.int64)
    return Points(table, np.full(count, slot, np.int32), times_us, np.arange(count, dtype=np.float64), first_us, at_us)


def make_held(
    count: int = 1,
    *,
    days: int = 1,
    key: uuid.UUID | None = None,
    digest: int = 1,
    answered: bool = False,
    rejected: Mapping[str, int] | None = None,
    name: str = "m",
) -> Held:
    """Return a request of ``count`` valid points that has just been decoded."""
    reasons = dict(rejected or {})
    part = Part(make_points(count, days=days, name=name), key, digest, sum(reasons.values()), answered=answered)
    return Held(part, reasons, received_at=0.0)


class Pipeline:
    """Buffer, accounts, settlement and lanes; in virtual time."""

    def __init__(
        self,
        writers: list[FakeWriter],
        rules: BatchRules = RULES,
        *,
        commit_timeout_s: float = 20.0,
        tracer: Tracer | None = None,
    ) -> None:
        self.writers = writers
        self.metrics = Metrics(CollectorRegistry())
        self.buffer = Buffer(rules, virtual_clock)
        self.keys = HeldKeys()
        self.accounting = Accounting()
        self.settlement = Settlement(self.buffer, self.keys, self.accounting)
        self.health = DatabaseHealth(self.metrics)
        self.retention = Retention()
        self.flusher = Flusher(
            writers,
            self.buffer,
            self.settlement,
            self.health,
            self.metrics,
            commit_timeout_s=commit_timeout_s,
            clock=virtual_clock,
            retention=self.retention,
            tracer=tracer,
        )

    def hold(self, held: Held) -> asyncio.Future[Settled]:
        """Take a request in, as one that arrives now, and return what its caller waits for."""
        held.received_at = virtual_clock()
        self.settlement.hold(held)
        return self.wait(held)

    def wait(self, held: Held) -> asyncio.Future[Settled]:
        """Return what one more caller of a held request waits for."""
        waiter: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        held.waiters.append(waiter)
        return waiter

    def totals(self) -> Counter[str]:
        """Return the points by outcome, those held included."""
        accounts = self.accounting
        return +Counter(
            {**accounts.outcomes, "rejected": sum(accounts.rejected.values()), "held": self.buffer.points},
        )

    def check_accounts(self) -> None:
        """Assert that every point received is accounted for once, and that nothing is negative."""
        parts = {**self.accounting.outcomes, **self.accounting.rejected, "held": self.buffer.points}
        assert all(count >= 0 for count in parts.values()), parts
        assert sum(parts.values()) == self.accounting.received, parts
        assert self.buffer.size_bytes >= 0


@asynccontextmanager
async def running_pipeline(
    *writers: FakeWriter, rules: BatchRules = RULES, commit_timeout_s: float = 20.0, tracer: Tracer | None = None
) -> AsyncIterator[Pipeline]:
    """Run lanes over ``writers``, over one good writer where none is given, until the body ends."""
    lanes = [*writers] or [FakeWriter(FakeDatabase())]
    pipeline = Pipeline(lanes, rules, commit_timeout_s=commit_timeout_s, tracer=tracer)
    task = asyncio.create_task(pipeline.flusher.run())
    try:
        yield pipeline
    finally:
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        if ended and not task.cancelled():
            task.result()


async def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait in virtual time until ``condition`` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
