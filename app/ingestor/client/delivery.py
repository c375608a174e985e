"""Send batches, so many at once, and settle what became of each."""

import asyncio
import logging

from ingestor.client.accounts import Accounts
from ingestor.client.attempts import Attempts
from ingestor.client.batch import PendingBatch
from ingestor.client.encode import Mint, Request
from ingestor.client.failures import Failure
from ingestor.client.reporter import Reporter
from ingestor.client.room import Room
from ingestor.client.sender import Outcome, RequestSender, Verdict
from ingestor.points import Ack

logger = logging.getLogger(__name__)


class Delivery:
    """Takes closed batches in order; each is sent by one of ``in_flight`` workers until its end is known."""

    def __init__(
        self, room: Room, accounts: Accounts, reporter: Reporter, *, mint: Mint, ack: Ack | None, in_flight: int
    ) -> None:
        self._room = room
        self._accounts = accounts
        self._reporter = reporter
        self._mint = mint
        self._ack = ack
        self._in_flight = in_flight
        # Bounded by the room: what is in a batch has its bytes from there.
        self._queue: asyncio.Queue[PendingBatch] = asyncio.Queue()
        self._unanswered: dict[PendingBatch, Attempts] = {}
        self._end_reason = ""

    def submit(self, batch: PendingBatch) -> None:
        """Send ``batch`` as soon as a worker is free."""
        self._unanswered[batch] = Attempts(self._note_retry)
        if self._end_reason:
            self.end(self._end_reason)
        else:
            self._queue.put_nowait(batch)

    async def run(self, sender: RequestSender) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._in_flight):
                workers.create_task(self._work(sender))

    async def wait_until_answered(self, timeout_s: float) -> bool:
        """Wait for the end of what was submitted up to now; return False where that takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                for batch in list(self._unanswered):
                    await batch.ended.wait()
        except TimeoutError:
            return False
        return True

    def end(self, reason: str) -> None:
        """Count as failed what has no answer, and what comes later; nothing is sent any more."""
        self._end_reason = reason
        while self._unanswered:
            batch, attempts = next(iter(self._unanswered.items()))
            message = f"{reason} before there was an answer"
            if attempts.last_trouble:
                message += f": {attempts.last_trouble}"
            self._fail(batch, "CLOSED", message, batch.encoded and attempts.may_be_stored)

    def last_trouble(self) -> str:
        """Return what keeps the oldest request in trouble from its answer, empty where none is in trouble."""
        return next((attempts.last_trouble for attempts in self._unanswered.values() if attempts.last_trouble), "")

    async def _work(self, sender: RequestSender) -> None:
        while True:
            batch = await self._queue.get()
            try:
                await self._deliver(batch, sender)
            except Exception as error:
                logger.exception("sending a batch failed")
                if batch in self._unanswered:
                    self._fail(batch, "CLIENT_FAULT", repr(error), batch.encoded)

    async def _deliver(self, batch: PendingBatch, sender: RequestSender) -> None:
        attempts = self._unanswered[batch]
        request = batch.encode(self._ack, self._mint)
        outcome = await sender.send(request, attempts)
        if outcome.verdict is not Verdict.ACKED:
            self._fail(batch, outcome.status, outcome.message, outcome.may_be_stored)
        elif outcome.accepted_points + outcome.rejected_points != batch.points:
            counted = f"{outcome.accepted_points} accepted and {outcome.rejected_points} rejected of {batch.points}"
            self._fail(batch, "MISCOUNTED", f"the server answered {counted}", may_be_stored=True)
        else:
            self._answered(batch, request, outcome)

    def _note_retry(self, status: str, message: str) -> None:
        self._accounts.retries += 1
        self._reporter.retried(status, message)

    def _answered(self, batch: PendingBatch, request: Request, outcome: Outcome) -> None:
        self._accounts.answered(outcome.accepted_points, outcome.rejected_points, duplicate=outcome.duplicate)
        self._end(batch)
        if outcome.rejected_points:
            self._reporter.rejected(request, outcome)

    def _fail(self, batch: PendingBatch, status: str, message: str, may_be_stored: bool) -> None:
        failure = Failure(status, batch.points, 1, message, may_be_stored)
        self._accounts.failed(failure)
        self._end(batch)
        self._reporter.failed(failure)

    def _end(self, batch: PendingBatch) -> None:
        del self._unanswered[batch]
        batch.ended.set()
        self._room.give(batch.size_bytes)
