"""The clients of a storm: each sends a request until it is acked, with one key, to whichever server its fate says."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from analytics.v1 import ingestor_pb2 as pb
from faults.storm.requests import StormData, StormRequest, make_request
from support.service import SERVICE, error_reason, retry_info

CALL_TIMEOUT_S = 20.0
IN_FLIGHT = 4
"""Requests that one client has in flight."""
_LONGEST_PAUSE_S = 1.0
_CHANNEL_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_AHEAD = "IDEMPOTENCY_KEY_AHEAD"
"""What a server says whose clock jumped back: true by its clock, so the client waits until the clock is right."""


class LostReplyError(Exception):
    """A reply was thrown away on purpose."""


@dataclass(slots=True)
class Told:
    """What the clients were told: which points are acked, and how often what happened."""

    acked: np.ndarray[Any, np.dtype[np.bool_]]
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    acked_points: int = 0


class Traffic:
    """All clients of one storm."""

    def __init__(self, data: StormData, seed: int, points: int, targets: Sequence[str]) -> None:
        self.told = Told(np.zeros(points, np.bool_))
        self._data = data
        self._seed = seed
        self._points = points
        self._targets = targets
        self._next = 0
        self._allowed = 0
        self._more = asyncio.Event()

    def allow(self, points: int) -> None:
        """Let requests begin up to this point: traffic does not run away from the strikes that are meant for it."""
        self._allowed = points
        self._more.set()

    async def run(self, clients: int) -> None:
        """Send all points, each until it is acked."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(clients):
                tasks.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        channels = [grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS) for target in self._targets]
        try:
            async with asyncio.TaskGroup() as tasks:
                for place in range(IN_FLIGHT):
                    chance = random.Random(f"client {self._seed} {number} {place}")
                    tasks.create_task(self._work(channels, chance))
        finally:
            await asyncio.gather(*(channel.close(None) for channel in channels))

    async def _work(self, channels: Sequence[grpc.aio.Channel], chance: random.Random) -> None:
        while self._next < self._points:
            if self._next >= self._allowed:
                self._more.clear()
                await self._more.wait()
                continue
            request = make_request(self._data, self._seed, self._next, self._points)
            self._next = request.end
            if request.fate == "twin":
                two = chance.sample(range(len(channels)), min(2, len(channels)))
                sent = [self._deliver(request, channels, chance, first=one) for one in two]
                await asyncio.gather(*sent)
            else:
                await self._deliver(request, channels, chance)
            self.told.acked[request.first : request.end] = True
            self.told.acked_points += request.end - request.first
            if request.fate == "again":
                await self._deliver(request, channels, chance, repeated=True)

    async def _deliver(
        self,
        request: StormRequest,
        channels: Sequence[grpc.aio.Channel],
        chance: random.Random,
        *,
        first: int | None = None,
        repeated: bool = False,
    ) -> None:
        """Send until an OK answer comes through."""
        server = chance.randrange(len(channels)) if first is None else first
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = await self._call(request, channels[server], chance, lose=attempt == 1 and not repeated)
            except LostReplyError:
                pass
            except grpc.aio.AioRpcError as error:
                self._judge(error)
                pause = retry_info(error) or 0.05 * 2 ** min(attempt, 6)
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_S))
            else:
                self._check(request, reply, repeated=repeated)
                return
            self.told.counts["retries"] += 1
            if chance.random() < 0.5:
                server = (server + 1) % len(channels)

    async def _call(
        self, request: StormRequest, channel: grpc.aio.Channel, chance: random.Random, *, lose: bool
    ) -> Any:
        answer = pb.WriteResponse if request.method == "Write" else pb.LogMetricsResponse
        method: Any = channel.unary_unary(f"{SERVICE}/{request.method}", None, answer.FromString)
        self.told.counts["attempts"] += 1
        call = method(request.payload, timeout=CALL_TIMEOUT_S, metadata=request.metadata)
        if lose and request.fate == "before":
            await asyncio.sleep(chance.uniform(0.0, 0.003))
            if call.cancel():
                self.told.counts["replies thrown away before COMMIT"] += 1
                raise LostReplyError
        reply = await call
        if lose and request.fate == "after":
            self.told.counts["replies thrown away after COMMIT"] += 1
            raise LostReplyError
        return reply

    def _judge(self, error: grpc.aio.AioRpcError) -> None:
        reason = error_reason(error)
        self.told.counts[f"{error.code().name} {reason}".strip()] += 1
        if error.code() not in _TRANSIENT and reason != _AHEAD:
            self.told.violations.append(f"{error.code().name} {reason}: {error.details()}")

    def _check(self, request: StormRequest, reply: Any, *, repeated: bool) -> None:
        if isinstance(reply, pb.LogMetricsResponse):
            return
        self.told.counts["answers that say duplicate"] += reply.duplicate
        expected = (request.end - request.first, request.invalid)
        if (reply.accepted_points, reply.rejected_points) != expected:
            counts = (reply.accepted_points, reply.rejected_points)
            self.told.violations.append(f"points {request.first}: {counts} answered, {expected} expected")
        if repeated and not reply.duplicate:
            self.told.violations.append(f"points {request.first}: sent again after their ack and not called duplicate")
