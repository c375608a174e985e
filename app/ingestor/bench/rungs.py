"""What is measured and what it is held against: the figures of one run, pair by pair."""

import statistics
from dataclasses import dataclass, field

from ingestor.bench.cpu import CpuSeconds
from ingestor.bench.data import Shape
from ingestor.schema.spec import IndexName

NO_CPU = CpuSeconds(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Pair:
    """One path and its limits, one after the other: points per second, and the path's CPU seconds per point.

    ``limit`` ran alone, ``shared_limit`` beside a process that burnt the share of a core that the client took.
    """

    rate: float
    limit: float
    shared_limit: float
    cpu: CpuSeconds
    limit_cpu: CpuSeconds


@dataclass(slots=True)
class Rung:
    """One path: what it must reach of its limit, what is its goal, and what it reached."""

    shape: Shape
    index: IndexName | None
    must: float
    goal: float
    pairs: list[Pair] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the path and the index it writes to."""
        return f"{self.shape.name}, {self.index}" if self.index else self.shape.name

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios to the limit beside the parked client."""
        return statistics.median(pair.rate / pair.shared_limit for pair in self.pairs)

    def median(self, figure: str) -> float:
        """Return the median of one of ``rate``, ``limit``, ``shared_limit``."""
        return float(statistics.median(getattr(pair, figure) for pair in self.pairs))

    def cpu(self, process: str, *, of_limit: bool = False) -> float:
        """Return the median CPU time of ``client``, ``server`` or ``database`` in seconds per point."""
        spent = [pair.limit_cpu if of_limit else pair.cpu for pair in self.pairs]
        return float(statistics.median(getattr(one, process) for one in spent)) / self.shape.points


@dataclass(slots=True)
class Wait:
    """One kind of wait, in seconds, as the median over the pairs of a percentile of each."""

    name: str
    must_s: float
    goal_s: float
    seconds: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        """Return the median over the pairs."""
        return statistics.median(self.seconds)


@dataclass(slots=True)
class Results:
    """Everything that one run of the ladder measured; ``peak_bytes`` is the largest memory of any server."""

    pairs: int
    rungs: list[Rung] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    peak_bytes: int = 0
