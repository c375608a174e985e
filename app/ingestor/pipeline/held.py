"""A request that was received and has no outcome yet, and those of them that carry a key.

A process holds one copy of a key: a second request with it waits for the first one's outcome.
"""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from opentelemetry.trace import Span

from ingestor.errors import KeyReusedError
from ingestor.storage.contract import Deferred, Part, Settled

REQUEST_OVERHEAD_BYTES = 2_500
"""What one held request costs beside its columns, measured with tracemalloc: objects, futures, three small arrays."""

REJECT_OVERHEAD_BYTES = 500
"""What one kept reject costs beside its JSON."""

MAX_LINKS = 128
"""Most recorded calls that one request, or one flush, remembers.

Source: OpenTelemetry specification, "Span Limits", the default of links.
"""


class State(Enum):
    """Where a held request is."""

    WAITING = auto()  # in the buffer: it can be withdrawn
    FLUSHING = auto()  # in a transaction
    UNKNOWN = auto()  # COMMIT was sent and not answered: only another flush of the same batch can tell
    SETTLED = auto()


@dataclass(slots=True, eq=False)
class Held:
    """One received request; ``rejected`` counts its invalid points by reason, ``received_at`` is the loop's clock.

    ``rows`` are its valid points, ``received`` all of them; ``size_bytes`` is the memory that holding it takes;
    ``repeats`` are the points of later requests with the same key that wait along; ``failures`` counts flushes that
    failed with it, ``blames`` those that failed with it alone while others were stored, the last at the database's
    commit number ``blamed_at``; ``deferred`` says what it waits for by itself; ``spans`` are those of the calls that
    are recorded, mostly none.
    """

    part: Part
    rejected: dict[str, int]
    received_at: float
    added_bytes: int = 0
    repeats: int = 0
    failures: int = 0
    blames: int = 0
    blamed_at: int | None = None
    deferred: Deferred | None = None
    state: State = State.WAITING
    waiters: list[asyncio.Future[Settled]] = field(default_factory=list)
    spans: tuple[Span, ...] = ()
    rows: int = field(init=False)
    received: int = field(init=False)
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        part = self.part
        self.rows = len(part.points)
        self.received = self.rows + part.rejected
        self.size_bytes = part.points.size_bytes + self.added_bytes + REQUEST_OVERHEAD_BYTES
        if part.rejects:
            self.size_bytes += sum(REJECT_OVERHEAD_BYTES + len(reject.point) for reject in part.rejects)

    @property
    def points(self) -> int:
        """Return all points that wait for this outcome."""
        return self.received + self.repeats

    def record(self, span: Span | None) -> None:
        """Remember the span of a call that waits for this, where it has one."""
        if span is not None and len(self.spans) < MAX_LINKS:
            self.spans = (*self.spans, span)

    def answer(self, outcome: Settled) -> None:
        """Hand the outcome to every caller that still waits, and let go of them.

        A caller that raises the outcome's error has this request in its traceback: a waiter kept here would close a
        cycle that holds points and message until the garbage collector comes round.
        """
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(outcome)


class HeldKeys:
    """The keys of held requests."""

    def __init__(self) -> None:
        self._held: dict[uuid.UUID, Held] = {}

    def find(self, key: uuid.UUID, digest: int) -> Held | None:
        """Return the held request with ``key``.

        Raises:
            KeyReusedError: it has other points.
        """
        held = self._held.get(key)
        if held is not None and held.part.digest != digest:
            raise KeyReusedError
        return held

    def add(self, held: Held) -> None:
        """Hold the request's key, if it has one."""
        if held.part.key is not None:
            self._held[held.part.key] = held

    def remove(self, held: Held) -> None:
        """Release the request's key."""
        if held.part.key is not None:
            self._held.pop(held.part.key, None)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())
