"""Garbage on the wire is refused as such: no call fails by a fault of ours and the server goes on."""

import asyncio
import random
import time

import grpc

from analytics.v1 import ingestor_pb2 as pb
from support.database import Database
from support.points import columns, count_samples, key_bytes, rows
from support.scrape import check_balance, scrape
from support.service import Client, client_of, running_service

MESSAGES_PER_WORKER = 60
WORKERS_PER_CHANNEL = 32


def _garbage(chance: random.Random) -> bytes:
    seeds = [rows([1.0, 2.0]), columns(20, series=3), columns(5, key=key_bytes())]
    message = bytearray(chance.choice(seeds).SerializeToString())
    way = chance.randrange(4)
    if way == 0:
        return chance.randbytes(chance.randint(0, 200))
    if way == 1:
        return bytes(message[: chance.randrange(len(message))])
    for _ in range(chance.randint(1, 6)):
        message[chance.randrange(len(message))] ^= 1 << chance.randrange(8)
    return bytes(message) + (chance.randbytes(4) if way == 3 else b"")


async def _send_garbage(client: Client, seed: int) -> tuple[int, int, list[grpc.StatusCode]]:
    """Return the points stored by each method and the codes of the refusals."""
    chance = random.Random(seed)
    written = single = 0
    codes = []
    for _ in range(MESSAGES_PER_WORKER):
        try:
            if chance.random() < 0.3:
                await client.log_metric(_garbage(chance))
                single += 1
            else:
                written += (await client.write(_garbage(chance))).accepted_points
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
    return written, single, codes


async def test_garbage_is_refused_as_invalid_and_the_server_still_answers(database: Database) -> None:
    started = time.perf_counter()
    async with running_service(database.writer_url) as service:
        async with (
            client_of(service.grpc_port) as one,
            client_of(service.grpc_port, [("grpc.use_local_subchannel_pool", 1)]) as other,
        ):
            workers = [_send_garbage(client, seed) for seed in range(WORKERS_PER_CHANNEL) for client in (one, other)]
            results = await asyncio.gather(*workers)
        good = await service.client.write(rows([1.0]))
        point = await service.client.log_metric(pb.LogMetricsRequest(service_name="s", metric_name="m"))
        samples = await scrape(service.http_port)
    codes = {code for _, _, refused in results for code in refused}
    refused = sum(len(refused) for _, _, refused in results)
    sent = MESSAGES_PER_WORKER * len(workers)
    print(f"{refused} of {sent} refused in {time.perf_counter() - started:.1f} s")  # noqa: T201 - shown by pytest -s
    assert codes == {grpc.StatusCode.INVALID_ARGUMENT}
    assert 0 < refused < sent
    assert good.accepted_points == 1
    assert point.success
    check_balance(samples)
    stored = sum(written + single for written, single, _ in results)
    assert await count_samples(database.admin_url) == stored + 2
