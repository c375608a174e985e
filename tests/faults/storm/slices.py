"""Measure healthy callers in slices of time, with bad points, rules and a locked chunk and without, in turns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from faults.storm.hostile_actors import lock_chunk
from faults.storm.marks import Mark
from faults.storm.plan import Plan
from faults.storm.rules import STATES
from faults.storm.site import Site

MAX_RATIO, MAX_WORST = 2.0, 4.0
_ROUNDS = 3
_SETTLE_S = 1.0
_MAX_PACE, _LONGER = 8.0, 2.0
_STATES = ("P0001", "25006", "40001", "53100", "23514", "08006", "57014", "55P03")
"""What the triggers raise in each hostile slice."""


@dataclass
class Latencies:
    """Seconds of healthy calls, by slice."""

    calm: list[list[float]] = field(default_factory=list)
    hostile: list[list[float]] = field(default_factory=list)

    def lines(self) -> list[tuple[str, str]]:
        """Return what a report says of them."""
        if not self.calm:
            return []
        rows = [(f"healthy calls, {name}", _words(slices)) for name, slices in self._named()]
        words = f"{self.ratio:.2f} times (medians of slices), {self.worst:.2f} times (their worst)"
        return [*rows, ("healthy calls' p99, hostile to calm", words)]

    def as_json(self) -> dict[str, object]:
        """Return the same for programs, in milliseconds."""
        return {name: [_percentiles(one) for one in slices] for name, slices in self._named()} | {
            "ratio": self.ratio,
            "worst": self.worst,
        }

    @property
    def ratio(self) -> float:
        """Return p99 in hostile slices by p99 in calm ones, the median of slices each: noise hits single ones."""
        return self._compare(median)

    @property
    def worst(self) -> float:
        """Return the same of the worst slice each: every hostile slice has errors of another kind."""
        return self._compare(max)

    @property
    def beyond_bounds(self) -> list[tuple[float, float]]:
        """Return the ratios that exceed their bounds, each with its bound."""
        bounds = (self.ratio, MAX_RATIO), (self.worst, MAX_WORST)
        return [(ratio, most) for ratio, most in bounds if ratio > most]

    def _compare(self, choose: Callable[[list[float]], float]) -> float:
        if not self.calm:
            return 0.0
        calm, hostile = (choose([_percentile(one, 99) for one in slices]) for _, slices in self._named())
        return hostile / calm

    def _named(self) -> tuple[tuple[str, list[list[float]]], ...]:
        return ("calm", self.calm), ("hostile", self.hostile)


async def measure(site: Site, plan: Plan, say: Callable[[str], None]) -> Latencies:
    """Measure healthy callers; note where they pay for others.

    Of the first round whose waits are within the bounds, else of the last: what else the machine does only lengthens
    them, and a fault is in every round.
    """
    latencies = Latencies()
    if not plan.slices:
        return latencies
    for _ in range(_ROUNDS if plan.judge_waits else 1):
        latencies = await _measure_round(site, plan, say)
        if not latencies.beyond_bounds:
            break
    for ratio, most in latencies.beyond_bounds if plan.judge_waits else ():
        site.findings.violate(f"healthy callers' p99 is at most {most:g} times a calm one", f"{ratio:.2f} times")
    return latencies


async def _measure_round(site: Site, plan: Plan, say: Callable[[str], None]) -> Latencies:
    """Measure ``plan.slices`` pairs of slices."""
    latencies = Latencies()
    pace = min(max(await site.callers[0].pace(), 1.0), _MAX_PACE)
    site.progress.pace, slice_s = pace, plan.slice_s * min(pace, _LONGER)
    say(f"{site.progress.elapsed_s:7.1f} s  healthy calls, hostile ones too, at 1/{pace:.1f} of the usual pace")
    for nth in range(plan.slices):
        for hostile in (False, True) if nth % 2 == 0 else (True, False):
            async with _trouble(site, STATES.index(_STATES[nth % len(_STATES)])) if hostile else _quiet(site):
                taken = await asyncio.gather(*(caller.measure(slice_s) for caller in site.callers))
            calls = [call for one in taken for call in one]
            (latencies.hostile if hostile else latencies.calm).append(calls)
            kind = "hostile" if hostile else "calm"
            say(f"{site.progress.elapsed_s:7.1f} s  healthy calls, {kind}: {_words([calls])}")
    return latencies


@asynccontextmanager
async def _quiet(site: Site) -> AsyncIterator[None]:
    await asyncio.sleep(_SETTLE_S)
    yield


@asynccontextmanager
async def _trouble(site: Site, state: int) -> AsyncIterator[None]:
    """Have every rule, a locked chunk, and clients that run into both; the administrator's own locks are not in it."""
    for mark in Mark:
        await site.rules.add(mark, state)
    for client in site.hostile:
        client.hostile = True
    try:
        async with lock_chunk(site):
            await asyncio.sleep(_SETTLE_S)
            yield
    finally:
        for client in site.hostile:
            client.hostile = False
        for mark in Mark:
            await site.rules.remove(mark)


def _words(slices: list[list[float]]) -> str:
    calls = [call for one in slices for call in one]
    p50, p99, most = (_percentile(calls, percent) * 1000 for percent in (50, 99, 100))
    return f"{len(calls):,}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.0f} ms"


def _percentiles(calls: list[float]) -> dict[str, float]:
    return {f"p{percent}_ms": round(_percentile(calls, percent) * 1000, 2) for percent in (50, 99, 100)}


def _percentile(calls: list[float], percent: float) -> float:
    return float(np.percentile(calls, percent))
