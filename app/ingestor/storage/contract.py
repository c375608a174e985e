"""What the pipeline asks of the storage and what it gets back: the border that a fake stands in for."""

import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from opentelemetry.trace import SpanContext

from ingestor.errors import IngestorError, TransientError
from ingestor.points import Points, Reject, SlotColumn
from ingestor.storage.rows import describe_point
from ingestor.storage.set_aside import SetAside

PAGE_ROWS = 1_000
"""More samples than fit into what is free of the last page, so that a full disk shows."""


class ErrorClass(StrEnum):
    """What a database error calls for; the ``class`` label of ``ingestor_database_errors_total``."""

    DATA = "data"  # what is to be stored is at fault: that part alone is set aside
    RETRY = "retry"  # the same batch again, on the same connection
    DISK_FULL = "disk_full"  # the same, and admit nothing until it works again
    SPLIT = "split"  # a smaller batch; one request that is too large is set aside
    MEMORY = "memory"  # a smaller batch, then the same again
    CONNECTION = "connection"  # a new connection, then the same batch
    SCHEMA = "schema"  # a person or the operator must act: hold
    UNKNOWN = "unknown"  # hold, and say so


@dataclass(slots=True, eq=False)
class Part:
    """One request's share of a flush; all of it is stored, or nothing.

    ``rejects`` are points that validation refused (``rejected`` counts them all, ``rejects`` may hold fewer);
    ``digest`` tells the same points sent again from others; ``answered`` says that the caller has its answer.
    ``set_aside`` grows from attempt to attempt: what the database refused once is not sent again. ``to_blame`` says
    that it failed again and again while others were stored: what the database says of one of its rows, alone, is about
    that row.
    """

    points: Points
    key: uuid.UUID | None
    digest: int
    rejected: int = 0
    rejects: tuple[Reject, ...] = ()
    answered: bool = False
    set_aside: SetAside | None = None
    to_blame: bool = False

    @property
    def storable(self) -> int:
        """Return the number of points that may still be stored."""
        return len(self.points) - len(self.set_aside or ())

    @property
    def storable_slots(self) -> SlotColumn:
        """Return the series of the points that may still be stored."""
        return self.points.slots if self.set_aside is None else self.points.slots[~self.set_aside.marks]

    def set_points_aside(self, positions: Iterable[int], reason: str, message: str) -> None:
        """Leave points out of every further attempt."""
        self.set_aside = self.set_aside or SetAside.of(len(self.points))
        self.set_aside.add(positions, reason, lambda at: describe_point(self.points, at, reason, message))

    def stored(self) -> "Stored":
        """Return the outcome if its COMMIT succeeds."""
        aside = self.set_aside
        return Stored(self.storable, dict(aside.counts), tuple(aside.rejects)) if aside else Stored(self.storable)


@dataclass(frozen=True, slots=True)
class Stored:
    """The part is committed but for the points that were set aside.

    ``rejected`` counts those by reason; ``rejects`` describes the first of them.
    """

    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The part's key was committed before with the same points; the counts are the first time's."""

    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing of the part is stored; the error is what its caller gets."""

    error: IngestorError


def chunk_lock(number: int) -> Hashable:
    """Return what a part waits for if a chunk that it needs is locked; chunks are numbered by time."""
    return ("chunk", number)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Nothing of the part is stored now; it waits for something that the other parts need not wait for.

    Parts with equal ``waits_for`` wait for the same thing, such as a lock on one chunk; None is nothing but a turn of
    its own. ``error`` is what a caller gets whose wait ends meanwhile. ``claimed`` says that its key could be claimed,
    so that no earlier attempt has stored it.
    """

    error: TransientError
    waits_for: Hashable | None
    claimed: bool = False

    @classmethod
    def behind_chunk(cls, number: int) -> "Deferred":
        """Return the outcome of a part with points in a chunk that somebody has locked."""
        return cls(
            TransientError("somebody has locked a chunk that it needs", reason="chunk_locked"),
            chunk_lock(number),
            claimed=True,
        )


Settled = Stored | Duplicate | Failed
Outcome = Settled | Deferred


@dataclass(slots=True, eq=False)
class Batch:
    """The parts of one transaction; parts without a key share ``own_key``, so that a repeat is recognised.

    ``repeated`` says that this very batch was flushed before and its outcome is unknown; ``alone`` that its only part
    was deferred, so that others wait while it is tried: it gets more time for its rows and less for locks.
    """

    parts: list[Part]
    own_key: uuid.UUID
    repeated: bool = False
    alone: bool = False

    @property
    def rows(self) -> int:
        """Return the number of points to store."""
        return sum(len(part.points) for part in self.parts)


class FlushError(TransientError):
    """A flush failed as a whole.

    ``if_committed`` is set where COMMIT was sent and its outcome is unknown: what holds if it succeeded. The same
    batch must then be flushed again; the ledger tells. ``span`` is the flush's, where it was recorded.
    """

    def __init__(
        self, message: str, error_class: ErrorClass, *, if_committed: tuple[Outcome, ...] | None = None
    ) -> None:
        super().__init__(message, reason=f"database_{error_class}")
        self.error_class = error_class
        self.if_committed = if_committed
        self.span: SpanContext | None = None


class Writer(Protocol):
    """One lane into the database: one connection, one flush at a time."""

    @property
    def chunk_us(self) -> int:
        """Length of a chunk of ``samples``, in microseconds, as read by the last ``connect``."""

    @property
    def retention_us(self) -> int | None:
        """Age from which on points are dropped, in microseconds, as read by the last ``connect`` or ``housekeep``.

        None where none are, or where the database does not tell.
        """

    async def connect(self) -> None:
        """Make the connection anew and check the schema.

        Raises:
            FlushError: it can't be made, or the schema is not one we can write to.
        """

    def mint_key(self) -> uuid.UUID:
        """Return a new key by the database's clock, so that it expires no sooner than the window says."""

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        """Store ``batch`` in one transaction and return one outcome a part.

        Raises:
            FlushError: nothing is stored, unless ``if_committed`` is set. The connection is gone where the class
                is CONNECTION.
        """

    async def check(self) -> None:
        """See that the database could take points; for times without traffic.

        Raises:
            FlushError: it does not; the connection may be gone.
        """

    async def prove(self, rows: int = 1) -> None:
        """Commit something, so as to know whether the database or what is to be stored is at fault.

        ``rows`` samples are stored with it and taken back.

        Raises:
            FlushError: it can't be done; the connection may be gone.
        """

    async def housekeep(self) -> None:
        """Do the database's upkeep and read its retention anew; about once a minute and process.

        Raises:
            FlushError: it failed; the connection may be gone.
        """

    async def close(self) -> None:
        """End the connection."""
