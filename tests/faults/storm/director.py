"""Lets the faults strike in order, each at its place in the load, some of them at the same time."""

import asyncio
from collections.abc import Callable, Sequence

from faults.storm.actors import act
from faults.storm.schedule import Strike
from faults.storm.site import Site

AT_ONCE = 3
_LONGEST_S = 120.0


class Director:
    """Runs a schedule."""

    def __init__(self, site: Site, strikes: Sequence[Strike], points: int, say: Callable[[str], None]) -> None:
        self._site = site
        self._strikes = strikes
        self._slack = 2 * points // (len(strikes) + 1)
        self._say = say
        self._open: set[Strike] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Let every fault strike and return once all is mended."""
        async with asyncio.TaskGroup() as tasks:
            for strike in self._strikes:
                self._set_limit(strike)
                await self._room.acquire()
                await self._site.progress.until(strike.at_points, strike.at_s)
                self._open.add(strike)
                tasks.create_task(self._strike(strike))
        self._site.progress.limit = 1 << 62
        self._site.progress.faults_over = True

    async def _strike(self, strike: Strike) -> None:
        try:
            async with asyncio.timeout(_LONGEST_S):
                struck = await act(self._site, strike)
        except TimeoutError:
            struck = 0
        finally:
            self._open.discard(strike)
            self._room.release()
        self._site.findings.struck[strike.kind] += struck
        if not struck:
            self._site.findings.violate("every fault strikes", str(strike))
        elapsed_s = self._site.progress.elapsed_s
        self._say(f"{elapsed_s:7.1f} s  {self._site.progress.acked:>9,} points  {strike}{'' if struck else '  MISSED'}")

    def _set_limit(self, following: Strike) -> None:
        """Clients go a little beyond the first fault that is not over, so that it has traffic."""
        first = min(strike.at_points for strike in (*self._open, following))
        self._site.progress.limit = first + self._slack
