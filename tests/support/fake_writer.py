"""A ``Writer`` that keeps points in memory and fails as it is told to."""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestor.errors import KeyReusedError, LimitError
from ingestor.keys import mint_key
from ingestor.storage.contract import Batch, Duplicate, ErrorClass, Failed, FlushError, Outcome, Part, Stored

DAY_US = 86_400_000_000


@dataclass(slots=True)
class FakeDatabase:
    """What all writers of a test share: the ledger, and one entry for each point stored.

    ``away`` refuses connections and breaks flushes; ``refuses`` fails every flush in that way.
    """

    ledger: dict[uuid.UUID, Duplicate | None] = field(default_factory=dict)
    digests: dict[uuid.UUID, int] = field(default_factory=dict)
    stored: list[Part] = field(default_factory=list)
    away: bool = False
    refuses: ErrorClass | None = None
    retention_us: int | None = None

    @property
    def points(self) -> int:
        """Return how many points are stored."""
        return sum(part.storable for part in self.stored)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in one flush.

    ``unknown`` loses the answer to COMMIT, which took effect where ``committed``; ``limited`` are the positions of
    parts that are refused for their new series; a repeated batch has no new ones.
    """

    error_class: ErrorClass | None = None
    unknown: bool = False
    committed: bool = False
    limited: frozenset[int] = frozenset()


class FakeWriter:
    """One lane into a ``FakeDatabase``; ``faults`` are taken one a flush, and flushes take ``flush_s``."""

    def __init__(self, database: FakeDatabase, *, flush_s: float = 0.0, chunk_us: int = DAY_US) -> None:
        self.database = database
        self.flush_s = flush_s
        self.chunk_us = chunk_us
        self.retention_us: int | None = None
        self.faults: deque[Fault] = deque()
        self.connect_faults: deque[ErrorClass] = deque()
        self.flushed: list[Batch] = []
        self.connects = 0
        self.housekeepings = 0
        self.checks = 0
        self.connected = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def connect(self) -> None:
        self.connected = False
        if self.database.away:
            raise FlushError("the database is away", ErrorClass.CONNECTION)
        if self.connect_faults:
            raise FlushError("scripted", self.connect_faults.popleft())
        self.connects += 1
        self.connected = True
        self.retention_us = self.database.retention_us

    def mint_key(self) -> uuid.UUID:
        return mint_key()

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        if not self.connected or self.database.away:
            self.connected = False
            raise FlushError("not connected", ErrorClass.CONNECTION)
        self.flushed.append(Batch(list(batch.parts), batch.own_key, batch.repeated))
        await asyncio.sleep(self.flush_s)
        await self.gate.wait()
        fault = self.faults.popleft() if self.faults else Fault(self.database.refuses)
        if fault.error_class is not None and not fault.unknown:
            self.connected = self.connected and fault.error_class is not ErrorClass.CONNECTION
            raise FlushError("scripted", fault.error_class)
        repeated = any(before.own_key == batch.own_key for before in self.flushed[:-1])
        outcomes = self._outcomes(batch, frozenset() if repeated else fault.limited)
        if fault.unknown:
            self.connected = False
            if fault.committed:
                self._commit(batch, outcomes)
            raise FlushError("COMMIT was not answered", ErrorClass.CONNECTION, if_committed=tuple(outcomes))
        self._commit(batch, outcomes)
        return outcomes

    async def check(self) -> None:
        self.checks += 1
        if not self.connected or self.database.away:
            self.connected = False
            raise FlushError("the database does not answer", ErrorClass.CONNECTION)

    async def prove(self, rows: int = 1) -> None:
        if not self.connected or self.database.away:
            self.connected = False
            raise FlushError("the database does not answer", ErrorClass.CONNECTION)
        if self.database.refuses is not None:
            raise FlushError("the database takes no points", self.database.refuses)

    async def housekeep(self) -> None:
        self.housekeepings += 1
        self.retention_us = self.database.retention_us

    async def close(self) -> None:
        self.connected = False

    def _outcomes(self, batch: Batch, limited: frozenset[int]) -> list[Outcome]:
        """Say what COMMIT would do; a part without a key is known by the batch's own key."""
        return [
            Failed(LimitError("too many new series", reason="new_series_limit", retry_after_s=1.0))
            if index in limited
            else self._outcome(batch, part)
            for index, part in enumerate(batch.parts)
        ]

    def _outcome(self, batch: Batch, part: Part) -> Outcome:
        if part.key is None:
            known = batch.own_key in self.database.ledger
            return Duplicate(part.storable, part.rejected) if known else part.stored()
        before = self.database.ledger.get(part.key)
        if before is None:
            return part.stored()
        return before if self.database.digests[part.key] == part.digest else Failed(KeyReusedError())

    def _commit(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        for part, outcome in zip(batch.parts, outcomes, strict=True):
            if not isinstance(outcome, Stored):
                continue
            self.database.stored.append(part)
            if part.key is None:
                self.database.ledger[batch.own_key] = None
            else:
                rejected = part.rejected + len(part.points) - part.storable
                self.database.ledger[part.key] = Duplicate(part.storable, rejected)
                self.database.digests[part.key] = part.digest
