"""A request that its flush leaves out is never called stored, even where the flush's outcome was unknown."""

import asyncio

import grpc

from support.database import Database
from support.points import count_samples, rows
from support.proxy import CommitProxy
from support.service import Service, running_service


async def _accepted(service: Service, name: str) -> int:
    try:
        return (await service.client.write(rows([1.0, 2.0], name=name))).accepted_points
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE):
            raise
        return 0


async def test_a_keyless_request_over_the_series_limit_is_not_called_stored_after_a_lost_commit(
    database: Database,
) -> None:
    settings = {"connections": 1, "flush_interval_s": 0.2, "new_series_per_s": 1.0}
    async with CommitProxy(database.writer_url) as proxy, running_service(proxy.url, **settings) as service:
        accepted = await _accepted(service, "known")  # takes the only new series of this second
        proxy.break_next_commit(let_through=True)
        both = await asyncio.gather(_accepted(service, "known"), _accepted(service, "over the limit"))
        assert proxy.broken == 1
        accepted += sum(both)
    assert await count_samples(database.admin_url) == accepted
