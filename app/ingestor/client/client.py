"""The client as callers see it: record points, flush, and know what became of each."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from ingestor.client.accounts import Accounts, ClientStats
from ingestor.client.batch import BATCH_BYTES
from ingestor.client.clock import Clock
from ingestor.client.columns import PointColumns
from ingestor.client.delivery import Delivery
from ingestor.client.failures import FlushTimeoutError, PointsFailedError
from ingestor.client.intake import BatchIntake
from ingestor.client.key_clock import KeyClock
from ingestor.client.lost import watch
from ingestor.client.owner import NOBODY, Owner
from ingestor.client.reporter import OnFailure, OnRejected, Reporter
from ingestor.client.room import Room
from ingestor.client.sender import RequestSender, Sender
from ingestor.client.series import SeriesBook, SeriesHandle
from ingestor.client.target import check_target
from ingestor.points import Ack

MIB = 1024 * 1024

MAX_BATCH_POINTS = 50_000
"""Most points of a request: the rows of one transaction of the server.

Source: README, "Limits".
"""

LONGEST_RETRY_S = 1_800.0
"""Longest time for which one request is retried: half of the server's default deduplication window of an hour."""

_STOP_TIMEOUT_S = 5.0
_LEAST_PENDING_BYTES = 4 * MIB
"""Two requests: what waits for room fits beside a batch that is not full, and so not sent, yet."""

_LONGEST_SERIES_BYTES = BATCH_BYTES // 2


class Client:
    """Sends points to an ingestor in batches, each stored exactly once however often it has to be sent.

    Use it as ``async with Client("dns:///metrics-headless:50051") as client``. Leaving the block sends what is left for
    up to ``close_timeout_s`` and raises ``PointsFailedError`` where points failed since the last flush; an error of the
    body is kept and gets a note instead. A client belongs to the event loop that entered it and is entered once: a use
    by another thread, loop or forked process raises ``ForeignUseError``. What one that is never left loses is logged.

    A request goes out when it has ``batch_points`` or 2 MB, or its first point is ``linger_s`` old; ``in_flight`` of
    them are on their way at once, 16 to a connection. It is retried with its own key for ``give_up_after_s``, counted
    from its first attempt; ``on_failure`` and the log are told when that was in vain.

    Points without an answer take ``max_pending_bytes`` at most, 20 bytes each and the names of their series once a
    request; beyond that ``record`` waits ``full_timeout_s`` for room. While they are sent, gRPC has copies of up to
    ``in_flight`` requests. ``on_rejected`` and the log hear of points that the server can't store. The functions must
    not block. ``sender`` takes the place of connections to ``target``, ``clock`` that of the machine's clock.

    Raises:
        ValueError, TypeError: an option is out of range, or can't be meant.
    """

    def __init__(
        self,
        target: str,
        *,
        ack: Ack | None = None,
        batch_points: int = 10_000,
        linger_s: float = 1.0,
        in_flight: int = 8,
        max_pending_bytes: int = 64 * MIB,
        full_timeout_s: float = 60.0,
        give_up_after_s: float = 600.0,
        close_timeout_s: float = 30.0,
        on_failure: OnFailure | None = None,
        on_rejected: OnRejected | None = None,
        sender: RequestSender | None = None,
        clock: Clock | None = None,
    ) -> None:
        _check(1 <= batch_points <= MAX_BATCH_POINTS, f"batch_points must be from 1 to {MAX_BATCH_POINTS}")
        _check(in_flight >= 1, "in_flight must be 1 or more")
        _check(max_pending_bytes >= _LEAST_PENDING_BYTES, f"max_pending_bytes must be {_LEAST_PENDING_BYTES} or more")
        _check(0 < give_up_after_s <= LONGEST_RETRY_S, f"give_up_after_s must be above 0, at most {LONGEST_RETRY_S}")
        _check(min(linger_s, full_timeout_s, close_timeout_s) >= 0, "times must not be negative")
        if not isinstance(ack, Ack | None):
            raise TypeError(f"ack must be an Ack or None, got {ack!r}")
        clock = clock or Clock()
        self._close_timeout_s = close_timeout_s
        key_clock = KeyClock(clock)
        self._own_sender = None
        if sender is None:
            check_target(target)
            sender = self._own_sender = Sender(
                target, in_flight=in_flight, give_up_after_s=give_up_after_s, clock=clock, key_clock=key_clock
            )
        self._sender = sender
        self._owner = Owner()
        self._room = Room(max_pending_bytes)
        self._accounts = Accounts()
        self._reporter = Reporter(on_failure, on_rejected, clock)
        self._delivery = Delivery(
            self._room, self._accounts, self._reporter, mint=key_clock.mint, ack=ack, in_flight=in_flight
        )
        self._intake = BatchIntake(
            self._owner,
            self._room,
            self._accounts,
            self._delivery.submit,
            batch_points=batch_points,
            linger_s=linger_s,
            full_timeout_s=full_timeout_s,
            last_trouble=self._delivery.last_trouble,
            clock=clock,
        )
        self._book = SeriesBook(self._intake, _LONGEST_SERIES_BYTES)
        self._channels = AsyncExitStack()
        self._working: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._working is not None:
            raise RuntimeError("a client is entered once")
        if self._own_sender is not None:
            await self._channels.enter_async_context(self._own_sender)
        # Not a TaskGroup of the caller's task: a client may be left by another task than the one that entered it.
        self._lost = watch(self._delivery, self._accounts, self._reporter.held_back())
        self._owner.enter()
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._owner.is_forked and error is not None:
            return  # a forked process that ends in here: points and connections are its parent's
        self._check_loop()
        start = self._accounts.raised_failures()
        self._intake.close_batch()
        self._owner.leave()
        try:
            await self._delivery.wait_until_answered(self._close_timeout_s)
        finally:
            await self._stop()
        failures = self._accounts.raise_failures_since(start)
        if not failures:
            return
        failed = PointsFailedError(failures)
        if error is None:
            raise failed
        error.add_note(f"and of what was recorded before: {failed}")

    def series(self, service_name: str, metric_name: str, labels: Mapping[str, str] | None = None) -> SeriesHandle:
        """Return the handle of a series, for many points: ``await handle.record(value)``.

        The same identity gives the same handle, up to some 50,000 of them.

        Raises:
            ValueError: a name is empty, a text can't be encoded as UTF-8, or all together take more than 1 MB.
        """
        self._owner.check_thread()
        return self._book.handle(service_name, metric_name, labels)

    async def record(
        self,
        service_name: str,
        metric_name: str,
        value: float,
        *,
        labels: Mapping[str, str] | None = None,
        time_ns: int | None = None,
    ) -> None:
        """Record a point; return once it is in memory, at once unless ``max_pending_bytes`` are taken.

        ``value`` is stored as double precision (integers exactly up to 2^53; NaN and infinities too). ``time_ns`` is
        nanoseconds since 1970 UTC: this machine's clock where None, even if the server's is another; the server's time
        of receipt where 0.

        Raises:
            ClientFullError: no room within ``full_timeout_s``; the point was not recorded.
            ClientClosedError: outside the ``async with`` block.
            ForeignUseError: in another thread, process or event loop.
            ValueError: as ``series``.
            TypeError, OverflowError: value or time is no number, or too large.
        """
        await self._book.handle(service_name, metric_name, labels).record(value, time_ns=time_ns)

    def try_record(
        self,
        service_name: str,
        metric_name: str,
        value: float,
        *,
        labels: Mapping[str, str] | None = None,
        time_ns: int | None = None,
    ) -> bool:
        """Record a point and return True, or return False at once where there is no room; else as ``record``.

        Never lets other tasks run: points are sent while the caller awaits something else.
        """
        return self._book.handle(service_name, metric_name, labels).try_record(value, time_ns=time_ns)

    async def record_columns(
        self, series: Sequence[SeriesHandle], series_index: ArrayLike, times_ns: ArrayLike, values: ArrayLike
    ) -> None:
        """Record many points: for each its position in ``series``, its time and its value, as numpy arrays.

        They are taken in order, piece by piece as there is room, and copied: leave the arrays alone until this returns.

        Raises:
            ClientFullError: no room within ``full_timeout_s``; its ``recorded_points`` are in, the others are not.
            ClientClosedError: outside the ``async with`` block, or it was left meanwhile.
            ValueError, TypeError: the columns differ in length, are no numbers, or point beyond ``series``.
        """
        await self._intake.add_columns(PointColumns(series, series_index, times_ns, values))

    async def flush(self, timeout_s: float = 60.0) -> None:
        """Send what is there and return once everything recorded before is answered.

        Raises:
            PointsFailedError: points failed for good since this was last raised.
            FlushTimeoutError: that took longer than ``timeout_s``; the client goes on sending.
        """
        self._check_loop()
        start = self._accounts.raised_failures()
        self._intake.close_batch()
        if not await self._delivery.wait_until_answered(timeout_s):
            raise FlushTimeoutError(timeout_s, self._accounts.pending_points, self._delivery.last_trouble())
        failures = self._accounts.raise_failures_since(start)
        if failures:
            raise PointsFailedError(failures)

    def stats(self) -> ClientStats:
        """Return the counts of this moment.

        Raises:
            ForeignUseError: called by another thread or process while the client is open.
        """
        self._owner.check_thread()
        return self._accounts.stats(self._room.used_bytes)

    def _check_loop(self) -> None:
        self._owner.check_thread()
        if self._owner.thread != NOBODY:
            self._owner.check()

    async def _work(self) -> None:
        try:
            await self._delivery.run(self._sender)
        finally:  # left, or cancelled by whomever: where an event loop ends, for one
            self._settle(
                "the client was closed" if self._owner.thread == NOBODY else "the client's tasks were cancelled"
            )

    async def _stop(self) -> None:
        """End the workers, settle what has no answer, and close the connections."""
        if self._working is None:
            raise self._owner.trouble()
        self._working.cancel()
        try:
            await asyncio.wait({self._working}, timeout=_STOP_TIMEOUT_S)
        finally:
            self._settle("the client was closed")
            await self._channels.aclose()

    def _settle(self, reason: str) -> None:
        """Count everything without an answer as failed, once, and refuse what comes."""
        if self._owner.is_forked or self._lost.detach() is None:
            return
        self._delivery.end(reason)
        self._intake.close_batch()
        self._owner.leave()
        self._reporter.close()


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
