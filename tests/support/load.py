"""Closed-loop load on a server: keeps requests in flight, retries nothing by itself, writes down what it was told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from analytics.v1 import ingestor_pb2 as pb
from support.points import key_bytes
from support.service import Client, client_of, error_reason, retry_info

REFUSED_PAUSE_S = 0.05


@dataclass
class Told:
    """What the senders were told: points acked, and every error as status, reason and whether RetryInfo came."""

    acked_points: int = 0
    acked_at: float = 0.0
    errors: Counter[tuple[grpc.StatusCode, str, bool]] = field(default_factory=Counter)


@asynccontextmanager
async def load(
    grpc_port: int, make_request: Callable[[], pb.WriteRequest], *, in_flight: int, keyed: bool = True
) -> AsyncIterator[Told]:
    """Keep ``in_flight`` requests going until the body ends; each is retried until it is acked or the end comes."""
    told = Told()
    template = make_request()
    async with AsyncExitStack() as stack:
        # A connection takes 16 calls; channels with equal options would share one.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]
        clients = [await stack.enter_async_context(client_of(grpc_port, options)) for _ in range(-(-in_flight // 16))]
        senders = [
            asyncio.create_task(_send(clients[n % len(clients)], template, told, keyed=keyed)) for n in range(in_flight)
        ]
        try:
            yield told
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)


async def _send(client: Client, template: pb.WriteRequest, told: Told, *, keyed: bool) -> None:
    body = template.SerializeToString()
    while True:
        head = pb.WriteRequest(idempotency_key=key_bytes()).SerializeToString() if keyed else b""
        while True:
            try:
                reply = await client.write(head + body)
            except grpc.aio.AioRpcError as error:
                told.errors[error.code(), error_reason(error), retry_info(error) is not None] += 1
                await asyncio.sleep(REFUSED_PAUSE_S)
            else:
                told.acked_points += reply.accepted_points
                told.acked_at = asyncio.get_running_loop().time()
                break
