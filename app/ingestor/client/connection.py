"""One channel to a target, and whether a request was put on the wire.

gRPC does not say of a call that failed whether its message was sent. Without a connection a call is made as a stream
of one message, which is the same on the wire: the message is handed over only once there is a connection.
"""

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.attempts import Attempts, Status, read_status
from ingestor.client.encode import Method, Request
from ingestor.client.failures import ForeignUseError
from ingestor.client.target import is_on_this_machine
from ingestor.propagation import Metadata

Answer = pb.WriteResponse | pb.LogMetricsResponse

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # The default of 30 s leaves a client without backends when all pods are replaced quickly.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Servers close connections that ping more often than they allow; a minute is within what ours and proxies take.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Channels with equal options would otherwise share one connection.
    ("grpc.use_local_subchannel_pool", 1),
]
_first_used_in = 0
"""The process that used gRPC first: this one, or one that it was forked from."""
_ANSWERS = {Method.WRITE: pb.WriteResponse.FromString, Method.LOG_METRIC: pb.LogMetricsResponse.FromString}


class Connection:
    """A channel of its own to ``target``, without TLS; it connects when it is first used, and again when it must."""

    def __init__(self, target: str) -> None:
        self._target = target
        _refuse_forked()
        # gRPC asks the proxy of http_proxy for this machine too, as curl and the gRPC of Go do not.
        proxy = ("grpc.enable_http_proxy", 0 if is_on_this_machine(target) else 1)
        self._channel = grpc.aio.insecure_channel(target, options=[*_OPTIONS, proxy])
        self._calls = {method: self._channel.unary_unary(method.value, None, _ANSWERS[method]) for method in Method}
        self._streams = {method: self._channel.stream_unary(method.value, None, _ANSWERS[method]) for method in Method}

    async def close(self) -> None:
        """End the calls and the connection."""
        await self._channel.close(None)

    async def call(self, request: Request, metadata: Metadata, timeout_s: float, attempts: Attempts) -> Answer | Status:
        """Make one attempt; ``attempts.may_be_stored`` is True from the moment on in which the message may be sent."""
        if self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            return await self._connect_and_call(request, metadata, timeout_s, attempts)
        attempts.may_be_stored = True
        try:
            answer: Answer = await self._calls[request.method](request.payload, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return read_status(error)
        return answer

    async def _connect_and_call(
        self, request: Request, metadata: Metadata, timeout_s: float, attempts: Attempts
    ) -> Answer | Status:
        first = not attempts.last_trouble
        if first:
            attempts.last_trouble = f"there is no connection to {self._target} yet"
        stream: Any = self._streams[request.method](None, timeout=timeout_s, metadata=metadata)
        try:
            try:
                await stream.wait_for_connection()
            except grpc.aio.AioRpcError as error:
                return _unsent(read_status(error), self._target)
            attempts.may_be_stored = True
            if first:
                attempts.last_trouble = ""
            return await _send_and_wait(stream, request.payload)
        finally:
            stream.cancel()  # where this task was cancelled; a call that has ended stays as it is


async def _send_and_wait(stream: Any, payload: bytes) -> Answer | Status:
    try:
        # A call that was refused before its message was wanted has ended, and says why below.
        with suppress(asyncio.InvalidStateError, grpc.aio.InternalError):
            await stream.write(payload)
            await stream.done_writing()
    except grpc.aio.AioRpcError as error:
        status = read_status(error)
        # What grpc.aio makes of a connection that breaks while the message is written.
        if status.code is grpc.StatusCode.INTERNAL:
            return Status(grpc.StatusCode.UNAVAILABLE, "the connection broke while the request was sent")
        return status
    try:
        answer: Answer = await stream
    except grpc.aio.AioRpcError as error:
        return read_status(error)
    return answer


def _refuse_forked() -> None:
    """Refuse what would crash or hang: gRPC's threads do not come along into a forked process.

    Raises:
        ForeignUseError: this process was forked from one that had used gRPC.
    """
    global _first_used_in  # noqa: PLW0603 - gRPC is one per process
    _first_used_in = _first_used_in or os.getpid()
    if _first_used_in != os.getpid():
        text = f"process {_first_used_in} used a client before it forked this one, and gRPC can't follow"
        raise ForeignUseError(f"{text}: fork before the first client, or start processes by spawn or forkserver")


def _unsent(status: Status, target: str) -> Status:
    if status.reason:  # our server refused it at once
        return status
    return replace(status, message=f"nothing could be sent to {target} (without TLS): {status.message}")
