"""Points of a part that are not stored: the database refused them, or it can't store them."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingestor.points import Reject

REFUSED = "refused_by_database"
"""Why a point is set aside that the database itself does not take."""

MAX_DESCRIBED = 100
"""Points of one part that are described; the others are counted. A reply and a second's ``rejects`` hold as many."""


@dataclass(slots=True, eq=False)
class SetAside:
    """The points of one part that are not stored: marked by position, counted by reason, the first ones described."""

    marks: NDArray[np.bool_]
    counts: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)

    @classmethod
    def of(cls, points: int) -> "SetAside":
        """Return the record of a part with so many points, none of them set aside."""
        return cls(np.zeros(points, np.bool_))

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, positions: Iterable[int], reason: str, describe: Callable[[int], Reject]) -> None:
        """Set points aside by their position in the part; one that was set aside before keeps its reason."""
        for position in positions:
            if self.marks[position]:
                continue
            self.marks[position] = True
            self.counts[reason] += 1
            if len(self.rejects) < MAX_DESCRIBED:
                self.rejects.append(describe(position))
