"""What tracing costs: the same path through a server that records one call in a hundred and one that records none."""

from dataclasses import replace

from ingestor.bench.data import ROWS, WIDE, Shape
from ingestor.bench.rungs import NO_CPU, Pair, Rung
from ingestor.bench.subject import Bench

LEAST = 0.95
"""The ratio that must be reached: tracing at 1 % may cost 5 %."""


class TracedBench:
    """Two servers on one store."""

    def __init__(self, plain: Bench, traced: Bench) -> None:
        self._plain = plain
        self._traced = traced
        self._shapes = (WIDE, ROWS)
        self.rungs: list[Rung] = []
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.rungs = [Rung(_named(shape), None, LEAST, 1.0) for shape in self._shapes]

    async def measure(self) -> None:
        """Add a pair to each rung; every other one begins with the traced server."""
        for shape, rung in zip(self._shapes, self.rungs, strict=True):
            if len(rung.pairs) % 2:
                plain, _ = await self._plain.send(shape)
                traced, cpu = await self._traced.send(shape)
            else:
                traced, cpu = await self._traced.send(shape)
                plain, _ = await self._plain.send(shape)
            limit = shape.points / plain.seconds
            rung.pairs.append(Pair(shape.points / traced.seconds, limit, limit, cpu, NO_CPU))


def _named(shape: Shape) -> Shape:
    return replace(shape, name=f"{shape.name}, SeriesTime, 1 % traced, against the same untraced")
