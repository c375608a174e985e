"""Take points into batches; a batch is closed when it is full, when it is old enough, or when asked."""

import asyncio
from collections.abc import Callable
from threading import get_ident
from typing import Protocol

from ingestor.client.batch import BATCH_BYTES, BATCH_OVERHEAD_BYTES, POINT_BYTES, PendingBatch
from ingestor.client.clock import Clock
from ingestor.client.columns import Piece, PointColumns
from ingestor.client.failures import ClientFullError
from ingestor.client.owner import Owner
from ingestor.client.room import Room
from ingestor.client.series import SeriesHandle


class RecordedCount(Protocol):
    """Counts what was taken."""

    recorded_points: int


class BatchIntake:
    """The one way in; hands each closed batch, with its bytes taken from ``room``, to ``on_closed``."""

    def __init__(
        self,
        owner: Owner,
        room: Room,
        counts: RecordedCount,
        on_closed: Callable[[PendingBatch], None],
        *,
        batch_points: int,
        linger_s: float,
        full_timeout_s: float,
        last_trouble: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._owner = owner
        self._room = room
        self._counts = counts
        self._on_closed = on_closed
        self._batch_points = batch_points
        self._linger_s = linger_s
        self._full_timeout_s = full_timeout_s
        self._last_trouble = last_trouble
        self._unix_ns = clock.unix_ns
        self._batch = PendingBatch()
        self._timer: asyncio.TimerHandle | None = None
        self._owes_turn = False

    def add(self, series: SeriesHandle, value: float, time_ns: int | None) -> bool:
        """Take a point and return True, or False where there is no room.

        Raises:
            ClientClosedError, ForeignUseError: the client is not open, or belongs to others.
            TypeError, OverflowError: value or time is no number, or too large.
        """
        if get_ident() != self._owner.thread:
            raise self._owner.trouble()
        size_bytes = POINT_BYTES if series.batch is self._batch else self._make_fit(POINT_BYTES + series.size_bytes)
        if not self._room.take(size_bytes):
            return False
        self._put(series, value, time_ns, size_bytes)
        return True

    async def add_and_yield(self, series: SeriesHandle, value: float, time_ns: int | None) -> None:
        """Take a point, waiting for room; let other tasks run once for each batch that a caller fills.

        Raises:
            ClientFullError: there was no room in time.
        """
        if not self.add(series, value, time_ns):
            time_ns = self._unix_ns() if time_ns is None else time_ns
            most_bytes = POINT_BYTES + series.size_bytes + BATCH_OVERHEAD_BYTES
            await self._wait_for_room(most_bytes, 0)
            try:
                size_bytes = POINT_BYTES
                if series.batch is not self._batch:
                    size_bytes = self._make_fit(POINT_BYTES + series.size_bytes)
            except BaseException:
                self._room.give(most_bytes)
                raise
            self._put(series, value, time_ns, most_bytes)
            self._room.give(most_bytes - size_bytes)
        elif self._owes_turn:
            await self._yield_turn()

    async def add_columns(self, columns: PointColumns) -> None:
        """Take all points in order, waiting for room; as ``add_and_yield``."""
        self._owner.check()
        start = 0
        while start < len(columns):
            piece = columns.piece(start, self._batch_points - self._batch.points, BATCH_BYTES)
            most_bytes = piece.most_bytes + BATCH_OVERHEAD_BYTES
            if not self._room.take(most_bytes):
                await self._wait_for_room(most_bytes, start)
            try:
                self._put_piece(piece, most_bytes)
            except BaseException:
                self._room.give(most_bytes)
                raise
            start += len(piece.values)
            if self._owes_turn:
                await self._yield_turn()

    def close_batch(self) -> None:
        """Hand on what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch.points:
            batch, self._batch = self._batch, PendingBatch()
            self._owes_turn = True
            self._on_closed(batch)

    def _make_fit(self, size_bytes: int) -> int:
        """Return what points of ``size_bytes`` cost in the open batch, closing it first where they do not fit it."""
        if not self._batch.points:
            self._owner.check()
        if self._batch.size_bytes + size_bytes > BATCH_BYTES:
            self.close_batch()
        return size_bytes if self._batch.points else size_bytes + BATCH_OVERHEAD_BYTES

    def _put(self, series: SeriesHandle, value: float, time_ns: int | None, taken_bytes: int) -> None:
        try:
            self._batch.append(series, value, self._unix_ns() if time_ns is None else time_ns)
        except BaseException:
            self._room.give(taken_bytes)
            raise
        self._counts.recorded_points += 1
        if self._timer is None or self._batch.points >= self._batch_points:
            self._arrange_end()

    def _put_piece(self, piece: Piece, taken_bytes: int) -> None:
        size_bytes = piece.size_in(self._batch)
        cost_bytes = self._make_fit(size_bytes)
        if self._batch.points + len(piece.values) > self._batch_points:  # others came while this one waited
            self.close_batch()
        if not self._batch.points:
            cost_bytes = piece.most_bytes + BATCH_OVERHEAD_BYTES
        piece.put_into(self._batch)
        self._room.give(taken_bytes - cost_bytes)
        self._counts.recorded_points += len(piece.values)
        self._arrange_end()

    def _arrange_end(self) -> None:
        """Close the batch that is full, or see to it that it is closed in time."""
        if self._batch.points >= self._batch_points:
            self.close_batch()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._close_old)

    def _close_old(self) -> None:
        self._timer = None
        self.close_batch()

    async def _wait_for_room(self, size_bytes: int, recorded_points: int) -> None:
        try:
            await self._room.wait_and_take(size_bytes, self._full_timeout_s)
        except TimeoutError:
            raise ClientFullError(self._full_timeout_s, recorded_points, self._last_trouble()) from None

    async def _yield_turn(self) -> None:
        # A loop that records without waiting for anything else would keep the batches from being sent.
        self._owes_turn = False
        await asyncio.sleep(0)
