"""Send prepared requests: as fast as they are answered, or evenly at a rate."""

import asyncio
import math
import time
from dataclasses import dataclass

from ingestor.client.attempts import Attempts
from ingestor.client.encode import Request
from ingestor.client.sender import Sender, Verdict


@dataclass(frozen=True, slots=True)
class Sent:
    """One run of the client: seconds in all, its share of a core, and each call's wait in seconds."""

    seconds: float
    cpu_share: float
    waits_s: list[float]

    def percentile_s(self, share: float) -> float:
        """Return the wait that ``share`` of the calls did not exceed."""
        return sorted(self.waits_s)[math.ceil(share * len(self.waits_s)) - 1]


async def send_all(port: int, requests: list[Request], in_flight: int) -> Sent:
    """Send all requests with so many in flight."""
    waiting = list(reversed(requests))
    waits_s: list[float] = []

    async def work(sender: Sender) -> None:
        while waiting:
            request = waiting.pop()
            started = time.perf_counter()
            await _send(sender, request)
            waits_s.append(time.perf_counter() - started)

    async with Sender(f"127.0.0.1:{port}", in_flight=in_flight) as sender:
        started, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(work(sender))
        seconds = time.perf_counter() - started
    return Sent(seconds, (time.process_time() - cpu) / seconds, waits_s)


async def send_evenly(port: int, requests: list[Request], requests_per_s: float, in_flight: int) -> Sent:
    """Send requests at a rate, however late the answers are; a wait counts from the moment that was meant."""
    waits_s: list[float] = []

    async def one(sender: Sender, request: Request, due: float) -> None:
        await _send(sender, request)
        waits_s.append(time.perf_counter() - due)

    async with Sender(f"127.0.0.1:{port}", in_flight=in_flight) as sender:
        started, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for number, request in enumerate(requests):
                due = started + number / requests_per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(sender, request, due))
        seconds = time.perf_counter() - started
    return Sent(seconds, (time.process_time() - cpu) / seconds, waits_s)


async def _send(sender: Sender, request: Request) -> None:
    outcome = await sender.send(request, Attempts(lambda *_: None))
    if outcome.verdict is not Verdict.ACKED:
        raise RuntimeError(f"a request was not acked: {outcome.status} {outcome.message}")
