"""Requests with the moments at which they are meant to go out.

A feed yields each request when it is time for it. The moment comes with it, in seconds of the monotonic clock, so
that a late start counts as latency (an open loop); it is None where a request is due as soon as there is room (a
closed loop).
"""

import asyncio
import math
from collections.abc import AsyncGenerator

from ingestor.client.clock import Clock
from ingestor.client.encode import Request, encode_requests
from ingestor.keys import mint_key
from ingestor.load.options import LoadOptions
from ingestor.load.sources import MachineSource
from ingestor.load.synthetic import SyntheticSource

DueRequest = tuple[float | None, Request]


def synthetic_feed(options: LoadOptions, clock: Clock) -> AsyncGenerator[DueRequest, None]:
    """Yield all synthetic points: at once where no rate is set, else evenly at that rate.

    The series are prepared before this returns, so that they are no part of what is measured.
    """
    source = SyntheticSource(
        service_name=options.synthetic_service,
        points=options.points,
        series=options.series,
        seed=options.seed,
        now_ns=clock.unix_ns(),
    )
    return _paced(source, options, clock)


async def _paced(source: SyntheticSource, options: LoadOptions, clock: Clock) -> AsyncGenerator[DueRequest, None]:
    start_s, sent_points = clock.monotonic_s(), 0
    for batch in source.batches(options.batch_points):
        for request in encode_requests(batch, options.form, options.ack, mint_key):
            due_s = start_s + sent_points / options.rate if options.rate else None
            if due_s is not None and (wait_s := due_s - clock.monotonic_s()) > 0:
                await clock.sleep(wait_s)
            yield due_s, request
            sent_points += request.points


async def machine_feed(options: LoadOptions, clock: Clock) -> AsyncGenerator[DueRequest, None]:
    """Yield this machine's metrics every interval, for ever; moments missed while nothing could go out are skipped."""
    source = MachineSource(options.machine_service, clock.unix_ns)
    start_s, tick = clock.monotonic_s(), 0
    while True:
        wait_s = start_s + tick * options.interval_s - clock.monotonic_s()
        if wait_s > 0:
            await clock.sleep(wait_s)
        batch = await asyncio.to_thread(source.sample)
        due_s = clock.monotonic_s()
        for request in encode_requests(batch, options.form, options.ack, mint_key):
            yield due_s, request
        tick = max(tick + 1, math.ceil((clock.monotonic_s() - start_s) / options.interval_s))
