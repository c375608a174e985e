"""Every point that was sent, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from faults.storm.points import Request
from faults.storm.rules import Rules


@dataclass(frozen=True, slots=True)
class Sent:
    """Points sorted by value, which no two share; ``request`` is an index, ``fate`` has values of ``Fate``."""

    value: NDArray[np.float64]
    time_us: NDArray[np.int64]
    series: NDArray[np.int64]
    request: NDArray[np.int64]
    fate: NDArray[np.int8]

    @classmethod
    def of(cls, requests: Sequence[Request], rules: Rules) -> Self:
        """Return the points of ``requests``."""
        value = np.concatenate([request.values() for request in requests])
        order = np.argsort(value, kind="stable")
        return cls(
            value[order],
            np.concatenate([request.times_us() for request in requests])[order],
            np.concatenate([request.series() for request in requests])[order],
            np.repeat(np.arange(len(requests)), [request.size for request in requests])[order],
            np.concatenate([request.fates(rules) for request in requests])[order],
        )

    def find(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the place of each value that was sent; for others, that of another one."""
        place = np.searchsorted(self.value, values)
        place[place == len(self.value)] = 0
        return place
