"""The clients: each request is sent with one key until it is acked, while a share of the replies is thrown away."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

import grpc

from analytics.v1 import ingestor_pb2 as pb
from faults.storm.findings import Findings
from faults.storm.plan import Plan
from faults.storm.points import Form, Request, RequestMaker
from faults.storm.progress import Progress
from faults.storm.servers import Server
from ingestor.keys import mint_key
from support.service import SERVICE, error_reason, retry_info

IN_FLIGHT = 4
_RESENT_SHARE = 0.06
_KEPT = 50
_PAUSE_S = (0.02, 0.2)
_LONGEST_PAUSE_S = 1.5
_TIMEOUT_S = (3.0, 22.0)
"""Deadlines on both sides of the 20 s after which a server itself gives up."""
_CUT_AFTER_S = 0.002
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
]
_RETRIED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class Loss(Enum):
    """What happens to a reply on its way to the client."""

    NONE = auto()
    AFTER_COMMIT = auto()  # it arrives, says OK, and is thrown away
    BEFORE_COMMIT = auto()  # the request is cut off as soon as it is out


class StormClient:
    """One client with a connection to each server; its clock is ``offset_s`` ahead."""

    twin_share = 0.04

    def __init__(
        self, number: int, plan: Plan, servers: list[Server], progress: Progress, findings: Findings, now_us: int
    ) -> None:
        self.number = number
        self.offset_s = 0.0
        self.clock_lock = asyncio.Lock()
        self.lost_share = plan.lost_share
        self.requests: list[Request] = []
        self._plan = plan
        self._servers = servers
        self._progress = progress
        self._findings = findings
        self._maker = RequestMaker(plan.seed, number, now_us)
        self._kept: list[Request] = []
        self._calls: list[dict[bool, Any]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for server in self._servers:
            target = f"{server.place.host}:{server.place.grpc_port}"
            channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(target, options=_OPTIONS))
            write = channel.unary_unary(f"{SERVICE}/Write", None, pb.WriteResponse.FromString)
            single = channel.unary_unary(f"{SERVICE}/LogMetric", None, pb.LogMetricsResponse.FromString)
            self._calls.append({False: write, True: single})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Send this client's share, and on until all faults are over: some strike only where there is load."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while self._maker.points * self._plan.clients < self._plan.points or not self._progress.faults_over:
            await self._progress.may_send()
            request = self._maker.make()
            await self._deliver(request)
            self._progress.acked += request.accepted
            await self._maybe_send_again(request)

    async def _deliver(self, request: Request) -> None:
        """Give a request its key and send it until it is acked."""
        self.requests.append(request)
        request.key = mint_key(int((time.time() + self.offset_s) * 1000))
        request.sent_s = asyncio.get_running_loop().time()
        await self._send_until_acked(request)
        request.settled_s = asyncio.get_running_loop().time()
        request.acked = True
        self._findings.counts["requests acked"] += 1

    async def _maybe_send_again(self, request: Request) -> None:
        if len(self._kept) < _KEPT:
            self._kept.append(request)
        else:
            self._kept[request.chance.randrange(_KEPT)] = request
        if request.chance.random() < _RESENT_SHARE:
            self._findings.counts["acked requests sent again"] += 1
            await self._send_until_acked(request.chance.choice(self._kept))

    async def _send_until_acked(self, request: Request) -> None:
        chance = request.chance
        draw = chance.random() / self.lost_share if self.lost_share else 1.0
        loss = Loss.NONE if draw >= 1 else Loss.AFTER_COMMIT if draw < 0.5 else Loss.BEFORE_COMMIT
        payload = self._payload(request)
        allowed = self._allowed(request)
        number = chance.choice(allowed)
        others = [other for other in allowed if other != number]
        if others and chance.random() < self.twin_share:
            self._findings.counts["requests sent to two servers at once"] += 1
            both = (
                self._attempt(request, payload, number, loss),
                self._attempt(request, payload, chance.choice(others), Loss.NONE),
            )
            if any(await asyncio.gather(*both)):
                return
        while not await self._attempt(request, payload, number, loss):
            self._findings.counts["retries"] += 1
            loss = Loss.NONE if request.last_status in ("cut", "thrown away") else loss
            if others and chance.random() < 0.5:
                number = chance.choice([other for other in allowed if other != number])
                self._findings.counts["retries at another server"] += 1

    def _allowed(self, request: Request) -> Sequence[int]:
        """Return the numbers of the servers that may get a request."""
        return range(len(self._servers))

    def _payload(self, request: Request) -> bytes:
        message = request.message()
        if isinstance(message, pb.WriteRequest):
            assert request.key is not None
            message.idempotency_key = request.key.bytes
            if request.buffered:
                message.ack = pb.ACK_BUFFERED
        return message.SerializeToString()

    async def _attempt(self, request: Request, payload: bytes, number: int, loss: Loss) -> bool:
        """Send once; return whether the client knows that it is stored. Pauses where it does not."""
        request.attempts += 1
        repeated = request.first_replies > 0
        metadata = (("x-idempotency-key", str(request.key)),) if request.form is Form.LOG_METRIC else ()
        method = self._calls[number][request.form is Form.LOG_METRIC]
        call = method(payload, timeout=request.chance.uniform(*_TIMEOUT_S), metadata=metadata)
        if loss is Loss.BEFORE_COMMIT:
            await asyncio.sleep(request.chance.uniform(0, _CUT_AFTER_S))
            if call.cancel():
                await call.code()
                self._findings.counts["requests cut off before a reply"] += 1
                request.last_status = "cut"
                return False
        try:
            reply = await call
        except grpc.aio.AioRpcError as error:
            if self._is_final(request, error):
                return True
            request.last_status = error.code().name
            await asyncio.sleep(self._judge_refusal(request, number, error))
            return False
        self._judge_reply(request, reply, repeated=repeated)
        if loss is not Loss.NONE:
            self._findings.counts["OK replies thrown away"] += 1
            request.last_status = "thrown away"
            return False
        return True

    def _is_final(self, request: Request, error: grpc.aio.AioRpcError) -> bool:
        """Tell whether an error is the answer that a request deserves."""
        return False

    def _judge_reply(
        self, request: Request, reply: pb.WriteResponse | pb.LogMetricsResponse, *, repeated: bool
    ) -> None:
        """Note what a reply says that is not so; ``repeated``: the first answer had come before it was asked for."""
        self._findings.counts["OK replies"] += 1
        if isinstance(reply, pb.LogMetricsResponse):
            return
        told = (reply.accepted_points, reply.rejected_points, reply.ack)
        if told != (request.accepted, request.rejected, pb.ACK_COMMITTED):
            self._findings.violate("a reply has the true counts", f"{told}, sent {request.accepted, request.rejected}")
        if reply.duplicate:
            self._findings.counts["duplicates recognised"] += 1
            if request.last_status == "cut" and request.attempts == 2:
                self._findings.counts["cut off, but stored"] += 1
            if request.attempts == 1:
                self._findings.violate("what is new is no duplicate", f"{request.key}")
            return
        request.first_replies += 1
        if repeated:
            self._findings.violate("what is sent again is a duplicate", f"{request.key}")
        elif request.first_replies > 1:
            # Of two attempts at a time either may find, after a lost COMMIT, the row that the other one wrote.
            self._findings.counts["called the first by two servers"] += 1

    def _judge_refusal(self, request: Request, number: int, error: grpc.aio.AioRpcError) -> float:
        """Count an error, note one that the contract does not have, and return the pause in seconds."""
        reason, advised_s = error_reason(error), retry_info(error)
        self._findings.refusals[f"{error.code().name} {reason}".strip()] += 1
        if reason == "IDEMPOTENCY_KEY_AHEAD":
            self._servers[number].refused_ahead += 1
            if not self._is_ahead(request.key, self._servers[number]):
                self._findings.violate("a key in time is taken", f"{error.details()}")
            return _LONGEST_PAUSE_S / 3
        retried = error.code() in _RETRIED or (error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and advised_s)
        if not retried or (error.code() is grpc.StatusCode.UNAVAILABLE and reason and not advised_s):
            self._findings.violate("a refusal is one of the contract", f"{error.code()} {reason}: {error.details()}")
        return min(advised_s or request.chance.uniform(*_PAUSE_S), _LONGEST_PAUSE_S)

    @staticmethod
    def _is_ahead(key: uuid.UUID | None, server: Server) -> bool:
        """Tell whether a server may find a key more than 300 s ahead, a second of doubt aside."""
        assert key is not None
        return (key.int >> 80) / 1000 - (time.time() + server.least_offset_s) > 299
