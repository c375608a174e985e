"""Healthy callers at a steady pace: how long each of their calls takes from when it was due."""

import asyncio
from statistics import median

from faults.storm.clients import StormClient
from faults.storm.findings import Findings
from faults.storm.plan import Plan
from faults.storm.progress import Progress
from faults.storm.servers import Server

_INTERVAL_S = 0.05
_CALLS, _USUAL_S = 40, 0.008
_PATIENCE_S = 10.0
"""Longest time that calls are waited for once a measurement is over."""


class HealthyCaller(StormClient):
    """Sends valid points alone, and hears every reply."""

    twin_share = 0.0

    def __init__(
        self, number: int, plan: Plan, servers: list[Server], progress: Progress, findings: Findings, now_us: int
    ) -> None:
        super().__init__(number, plan, servers, progress, findings, now_us)
        self.lost_share = 0.0

    async def pace(self) -> float:
        """Return how many times longer than usual a call takes here when nothing else goes on."""
        loop = asyncio.get_running_loop()
        return median([await self._call(loop.time()) for _ in range(_CALLS)]) / _USUAL_S

    async def measure(self, seconds: float) -> list[float]:
        """Send for so long; return each call's seconds, those that are not answered in the end included."""
        loop = asyncio.get_running_loop()
        first_s, interval_s = loop.time(), _INTERVAL_S * self._progress.pace
        calls: list[tuple[float, asyncio.Task[float]]] = []
        for nth in range(round(seconds / interval_s)):
            due_s = first_s + nth * interval_s
            await asyncio.sleep(due_s - loop.time())
            calls.append((due_s, asyncio.create_task(self._call(due_s))))
        done, late = await asyncio.wait([task for _, task in calls], timeout=_PATIENCE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            self._findings.violate("healthy callers are served", f"{len(late)} calls are not answered", len(late))
        return [task.result() if task in done else loop.time() - due_s for due_s, task in calls]

    async def _call(self, due_s: float) -> float:
        request = self._maker.make_small()
        await self._deliver(request)
        return asyncio.get_running_loop().time() - due_s
