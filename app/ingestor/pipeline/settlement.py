"""End a held request: count it, release its memory and key, answer its callers. The only place that does."""

import asyncio

from ingestor.errors import CommitUnknownError, IngestorError, TransientError
from ingestor.pipeline.accounting import Accounting
from ingestor.pipeline.buffer import Buffer
from ingestor.pipeline.held import Held, HeldKeys, State
from ingestor.storage.contract import Deferred, Failed, Outcome, Settled


class Settlement:
    """Keeps buffer, keys and accounts in step."""

    def __init__(self, buffer: Buffer, keys: HeldKeys, accounting: Accounting) -> None:
        self._buffer = buffer
        self._keys = keys
        self._accounting = accounting

    def hold(self, held: Held) -> None:
        """Take a request in."""
        self._accounting.receive(held.points)
        self._keys.add(held)
        self._buffer.add(held)

    def hold_repeat(self, held: Held, points: int, *, answered: bool) -> None:
        """Let a repeated request wait along; ``answered`` where its caller does not wait."""
        self._accounting.receive(points)
        self._buffer.add_repeat(held, points)
        if answered:
            self._buffer.mark_answered(held)

    def settle(self, held: Held, outcome: Outcome) -> None:
        """Give a held request its outcome, or back to the buffer where it must be tried again.

        A transient failure of a request whose caller has its answer is ours to retry.
        """
        if isinstance(outcome, Deferred):
            self._buffer.defer(held, outcome)
            return
        if held.part.answered and isinstance(outcome, Failed) and _is_ours_to_retry(outcome.error):
            self._buffer.give_back(held)
            return
        self._accounting.settle(held, outcome)
        self._release(held)
        held.answer(outcome)

    def withdraw(self, held: Held, error: IngestorError) -> None:
        """End the wait of a request's callers with ``error``.

        A request that waits goes too, unless its first caller has its answer; one that is being stored stays until
        its outcome is known.
        """
        if held.state is State.WAITING and not held.part.answered:
            self.settle(held, Failed(error))
            return
        held.answer(Failed(error))

    def leave(self, held: Held, waiter: asyncio.Future[Settled]) -> None:
        """Note that a caller is gone; a request that nobody waits for is not stored if it still can be left out."""
        if waiter in held.waiters:
            held.waiters.remove(waiter)
        if not held.waiters and held.state is State.WAITING and not held.part.answered:
            self.settle(held, Failed(TransientError("the caller is gone", reason="cancelled")))

    def abandon(self, held: Held) -> None:
        """Give a request up at a forced exit."""
        waiting = held.state is State.WAITING
        self._accounting.abandon(held)
        self._release(held)
        held.answer(Failed(stopping_error() if waiting else commit_unknown_error()))

    def _release(self, held: Held) -> None:
        self._keys.remove(held)
        self._buffer.remove(held)


def stopping_error() -> TransientError:
    """Return what a caller is told whose request waits while the server stops without a database."""
    return TransientError("the server stops and the database is away", reason="draining")


def commit_unknown_error() -> CommitUnknownError:
    """Return what a caller is told whose request is in a transaction and can't be waited for."""
    return CommitUnknownError("not known to be committed in time; retry with the same key", reason="commit_unknown")


def _is_ours_to_retry(error: IngestorError) -> bool:
    return isinstance(error, TransientError) and not isinstance(error, CommitUnknownError)
