"""A clock whose pauses take no time: each moves it forward and is written down."""

import asyncio

from ingestor.client.clock import Clock

START_NS = 1_700_000_000_000_000_000


class SkippingClock(Clock):
    """Starts at 0 s, at a fixed wall time; ``pauses_s`` are the pauses that were asked for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_ns(self) -> int:
        return START_NS + int(self.now_s * 1e9)

    async def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.now_s += pause_s
        await asyncio.sleep(0)
