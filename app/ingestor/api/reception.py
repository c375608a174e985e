"""Receive the message of a call, once there is a permit for it.

The handlers are registered as taking a stream: with a single message that is the same on the wire, and they run before
gRPC receives the message. Until it is read, a stream holds no more than its window.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import grpc

from ingestor.api.permits import SWEEP_S, Claim, Permits
from ingestor.api.status import refusal, refuse
from ingestor.errors import CardinalityError, InvalidRequestError, Violation

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

_CANCELLED_WITHIN_S = 0.05
"""A call that gRPC or its client ended is cancelled right after its message is missed."""


class Reception:
    """Bounds what is being received, and ends what comes too slowly."""

    def __init__(self, permits: Permits, drain_s: Callable[[], float]) -> None:
        self._permits = permits
        self._drain_s = drain_s
        self._contexts: dict[Claim, Context] = {}

    async def receive(self, context: Context, *, to_the_end: bool = True) -> bytes:
        """Return the message of a call; read ``to_the_end``, it is known to be the only one.

        Raises:
            TransientError: there was no room in time, or the message came too slowly.
            InvalidRequestError: the client ended its side without a whole message.
            CardinalityError: another message followed.
            CancelledError: the client is gone, or gRPC found the message too large.
        """
        claim = Claim(context.peer())
        await self._permits.take(claim)
        self._contexts[claim] = context
        try:
            message: object = await context.read()
            alone = not (to_the_end and isinstance(await context.read(), bytes))
        except grpc.aio.AbortError:  # what ``_end`` causes here
            message, alone = None, True
        finally:
            del self._contexts[claim]
            self._permits.leave(claim)
        if claim.ended is not None:
            raise claim.ended
        if not isinstance(message, bytes):
            await asyncio.sleep(_CANCELLED_WITHIN_S)
            raise InvalidRequestError([Violation("", "message_missing", "the call ended without a whole message")])
        if not alone:
            raise CardinalityError
        self._permits.praise(claim)
        return message

    async def run(self) -> None:
        """Watch over the permits until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._permits.wanted.wait()
                for claim in self._permits.sweep():
                    tasks.create_task(self._end(claim))
                await asyncio.sleep(SWEEP_S)

    async def _end(self, claim: Claim) -> None:
        """Give a call its status from outside: its handler waits in ``read``, which a cancellation would leave halfway.

        A message that gRPC completes meanwhile would never be freed then.
        """
        context = self._contexts.get(claim)
        if context is None or claim.ended is None or context.done():
            return
        await refuse(context, refusal(claim.ended, self._drain_s()))
