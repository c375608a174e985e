"""Decoded points before validation of their times: one block for a request's rows, one for each of its columns."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ingestor.pipeline.validate import MAX_DESCRIBED, Fault
from ingestor.points import SlotColumn, ValueColumn


@dataclass(slots=True)
class Faults:
    """Why points are invalid; an invalid point has ``code`` of its fault in place of a slot, a negative number."""

    found: list[Fault] = field(default_factory=list)
    _undescribed: dict[tuple[str, str], int] = field(default_factory=dict)

    def code(self, fault: Fault) -> int:
        """Keep ``fault`` and return its code; the first ones with the identity of their point, to bound memory."""
        if len(self.found) < MAX_DESCRIBED:
            self.found.append(fault)
            return -len(self.found)
        known = self._undescribed.get((fault.field, fault.reason))
        if known is None:
            self.found.append(replace(fault, identity={}))
            known = self._undescribed[fault.field, fault.reason] = -len(self.found)
        return known

    def of(self, code: int) -> Fault:
        """Return the fault behind a code."""
        return self.found[-code - 1]


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of equal length; ``path`` names a point's field for its sender, from the point's place in the block."""

    slots: SlotColumn
    times_ns: NDArray[np.int64]
    values: ValueColumn
    path: Callable[[int, str], str]

    def __len__(self) -> int:
        return len(self.slots)
