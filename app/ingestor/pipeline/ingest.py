"""What a service calls: bytes in, one honest answer out."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from opentelemetry.trace import Span

from ingestor.errors import InvalidRequestError, TransientError, Violation
from ingestor.keys import key_from_bytes, minted_ms
from ingestor.pipeline.accounting import Accounting
from ingestor.pipeline.assemble import MAX_REJECTS, Decoded, OnePoint, assemble_one
from ingestor.pipeline.buffer import Buffer
from ingestor.pipeline.decode import Decoder
from ingestor.pipeline.flusher import Flusher
from ingestor.pipeline.health import DatabaseHealth
from ingestor.pipeline.held import Held, HeldKeys
from ingestor.pipeline.points_limit import PointsLimit
from ingestor.pipeline.settlement import Settlement
from ingestor.pipeline.singles import Singles
from ingestor.points import Ack, Reject
from ingestor.storage.contract import Duplicate, Failed, Part, Settled, Stored
from ingestor.storage.set_aside import REFUSED
from ingestor.telemetry.metrics import PointsSnapshot

KEY_AHEAD_MS = 5 * 60 * 1000
"""How far a key's time may be ahead of this server's clock."""


_Read = TypeVar("_Read", Decoded, OnePoint)


@dataclass(frozen=True, slots=True)
class Wish:
    """What comes with a request outside its message.

    What it asks for, metadata ``x-idempotency-key`` and ``x-ack``, and the span of its call where that is recorded.
    """

    key: uuid.UUID | None = None
    ack: Ack | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request's points."""

    ack: Ack
    accepted: int
    rejected: int
    rejections: Sequence[Reject] = field(default=())
    duplicate: bool = False


_ONE_BUFFERED = Answer(Ack.BUFFERED, 1, 0)


class Ingest:
    """Decode, hold, wait, answer."""

    def __init__(
        self,
        decoder: Decoder,
        buffer: Buffer,
        keys: HeldKeys,
        settlement: Settlement,
        accounting: Accounting,
        health: DatabaseHealth,
        flusher: Flusher,
        points_limit: PointsLimit,
        *,
        ack: Ack,
        minimum_ack: Ack,
        deduplication_window_min: int,
        clock: Callable[[], float],
    ) -> None:
        self._decoder = decoder
        self._buffer = buffer
        self._keys = keys
        self._settlement = settlement
        self._singles = Singles(settlement.hold, clock)
        self._accounting = accounting
        self._health = health
        self._flusher = flusher
        self._points_limit = points_limit
        self._ack = ack
        self._minimum_ack = minimum_ack
        # Half of the window: the database's clock, which the window counts by, may be another.
        self._fresh_key_ms = deduplication_window_min * 60_000 // 2
        self._clock = clock
        self._closed = False

    def close(self) -> None:
        """Refuse every request from now on."""
        self._closed = True
        self._singles.seal()

    def log_metric(self, message: bytes, wish: Wish) -> Awaitable[Answer]:
        """Take a ``LogMetricsRequest``; raises as ``write`` does."""
        self.check_open()
        if self.awaits_commit(wish) or wish.key or wish.span:
            return self._take(self._decoded(self._decoder.decode_log_metric, message), wish)
        point, table = self._decoded(self._decoder.read_log_metric, message), self._decoder.cache.table
        if point.added_bytes or not table.is_stored(point.slot):
            return self._take(assemble_one(table, point), wish)
        self._points_limit.take(1)
        self._singles.add(table, point)
        return _one_buffered()

    def write(self, message: bytes, wish: Wish) -> Awaitable[Answer]:
        """Take a ``WriteRequest``; what is returned gives what became of its points once the acknowledgement holds.

        It is decoded at once, so that the message can go while the points wait.

        Raises:
            TransientError: not stored now, or not known to be (``CommitUnknownError``).
            PermanentError: never stored as it is.
        """
        self.check_open()
        return self._take(self._decoded(self._decoder.decode_write, message), wish)

    def awaits_commit(self, wish: Wish) -> bool:
        """Tell whether a call is answered once its points are committed, where its message asks for nothing else."""
        return max(self._minimum_ack, wish.ack or self._ack) is not Ack.BUFFERED

    def snapshot(self) -> PointsSnapshot:
        """Return the accounts, consistent because nothing else runs meanwhile."""
        self._singles.seal()
        return PointsSnapshot(
            received=self._accounting.received,
            outcomes=self._accounting.outcomes,
            rejected=self._accounting.rejected,
            held=self._buffer.points,
            oldest_held_s=self._flusher.oldest_held_s(),
            buffer_bytes=self._buffer.size_bytes,
            series=len(self._decoder.cache.table),
            series_cache_bytes=self._decoder.cache.size_bytes,
        )

    def check_open(self) -> None:
        """Refuse where nothing is taken now.

        Raises:
            TransientError: stopping, or no room, or the database can't take it.
        """
        if self._closed:
            raise TransientError("the server stops", reason="draining")
        self._health.check_admission()
        self._buffer.check_room()

    def _decoded(self, decode: Callable[[bytes], _Read], message: bytes) -> _Read:
        try:
            return decode(message)
        except InvalidRequestError as error:
            self._accounting.reject(error.rejected)
            raise

    async def _take(self, decoded: Decoded, wish: Wish) -> Answer:
        key = _agreed_key(decoded.key, wish.key)
        ack = max(self._minimum_ack, _agreed_ack(decoded.ack, wish.ack) or self._ack)
        if key is not None and minted_ms(key) < _now_ms() - self._fresh_key_ms:
            ack = Ack.COMMITTED  # only the database can tell whether the key has expired
        if not decoded.received:
            return Answer(ack, 0, 0)
        self._points_limit.take(decoded.received)
        self._check_width(decoded)
        self._buffer.check_locks(decoded.points)
        repeated = self._keys.find(key, decoded.digest) if key else None
        if repeated is not None:
            repeated.record(wish.span)
            self._settlement.hold_repeat(repeated, decoded.received, answered=ack is Ack.BUFFERED)
            return await self._answer(repeated, ack, decoded, duplicate=True)
        rejected = sum(decoded.rejected.values()) if decoded.rejected else 0
        part = Part(decoded.points, key, decoded.digest, rejected, decoded.rejects, answered=ack is Ack.BUFFERED)
        held = Held(part, decoded.rejected, self._clock(), decoded.added_bytes)
        held.record(wish.span)
        self._settlement.hold(held)
        return await self._answer(held, ack, decoded, duplicate=False)

    def _check_width(self, decoded: Decoded) -> None:
        try:
            self._buffer.check_width(decoded.points)
        except InvalidRequestError as error:
            self._accounting.reject(Counter(error.rejected) + Counter(decoded.rejected or {}))
            raise

    async def _answer(self, held: Held, ack: Ack, decoded: Decoded, *, duplicate: bool) -> Answer:
        if ack is Ack.BUFFERED:
            rejected = decoded.received - len(decoded.points)
            return Answer(ack, len(decoded.points), rejected, decoded.rejects, duplicate)
        outcome = await self._wait(held)
        if isinstance(outcome, Failed):
            try:
                raise outcome.error
            finally:
                del outcome  # else error, traceback and this frame keep each other, and the caller's message, alive
        if not outcome.accepted:
            raise _none_stored(outcome)
        if isinstance(outcome, Stored):
            rejections = () if duplicate else (*decoded.rejects, *outcome.rejects)[:MAX_REJECTS]
            return Answer(ack, outcome.accepted, held.received - outcome.accepted, rejections, duplicate)
        return Answer(ack, outcome.accepted, outcome.rejected, duplicate=True)

    async def _wait(self, held: Held) -> Settled:
        waiter: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        held.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._settlement.leave(held, waiter)
            raise


def _none_stored(outcome: Stored | Duplicate) -> InvalidRequestError:
    """Return what a caller gets whose points were all set aside, at the first attempt and at a repeat alike.

    The ledger keeps counts alone. A request without a valid point never gets there, so the database refused these.
    """
    if isinstance(outcome, Stored) and outcome.rejects:
        causes = dict.fromkeys((reject.reason, reject.message) for reject in outcome.rejects)
    else:
        causes = {(REFUSED, "the database refused all points when the request came first"): None}
    return InvalidRequestError([Violation("points", reason, message) for reason, message in causes])


async def _one_buffered() -> Answer:
    return _ONE_BUFFERED


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _agreed_key(from_field: bytes, from_metadata: uuid.UUID | None) -> uuid.UUID | None:
    try:
        key = key_from_bytes(from_field) if from_field else from_metadata
    except ValueError as error:
        raise _invalid("idempotency_key", "idempotency_key_malformed", str(error)) from None
    if from_metadata is not None and key != from_metadata:
        raise _invalid("idempotency_key", "idempotency_key_ambiguous", "field and metadata give different keys")
    if key is not None and minted_ms(key) > _now_ms() + KEY_AHEAD_MS:
        text = "its time is more than 5 minutes after the server's"
        raise _invalid("idempotency_key", "idempotency_key_ahead", text)
    return key


def _agreed_ack(from_field: int, from_metadata: Ack | None) -> Ack | None:
    try:
        ack = Ack(from_field) if from_field else from_metadata
    except ValueError:
        raise _invalid("ack", "ack_unknown", f"{from_field} is not offered here") from None
    if from_metadata is not None and ack is not from_metadata:
        raise _invalid("ack", "ack_ambiguous", "field and metadata give different acknowledgements")
    return ack


def _invalid(field_path: str, reason: str, message: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(field_path, reason, message)])
