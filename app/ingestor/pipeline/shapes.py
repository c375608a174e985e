"""What requests looked like: agents send the same series in the same order again and again.

A request that differs from an earlier one in times and values alone needs no parsing: where these stand and which
series they belong to is remembered under a hash of everything else. A shape that is asked for with other bytes does
not answer, so what is remembered can be out of date but never wrong. The hash has 128 bits and a seed of its own in
each process, so that no collision can be prepared.
"""

import secrets
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from ingestor.points import SlotColumn

SHAPES_BYTES = 16 * 1024 * 1024
"""Memory of the shapes of a process; about 400 blocks of 10,000 series, or 1,200 requests of 1,000 rows."""

_OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class Shape:
    """One request's fixed part: ``length`` bytes with ``digest`` as their hash.

    ``slots`` are those of its rows, whose last fields start at ``tails``, or of the series of its columns.
    """

    length: int
    digest: bytes
    slots: SlotColumn
    tails: NDArray[np.int64] | None = None


class Shapes:
    """Shapes by the first bytes of their requests; the oldest go where there is no room."""

    def __init__(self, max_bytes: int = SHAPES_BYTES) -> None:
        self._max_bytes = max_bytes
        self._seed = secrets.randbits(64)
        self._shapes: dict[bytes, tuple[Shape, int]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._shapes)

    def find(self, key: bytes) -> Shape | None:
        """Return the shape kept under ``key``; whether a request has it, its digest must tell."""
        kept = self._shapes.get(key)
        return kept[0] if kept else None

    def keep(self, key: bytes, shape: Shape) -> None:
        """Remember a shape, in place of an earlier one with the same key."""
        size_bytes = shape.slots.nbytes + len(key) + _OVERHEAD_BYTES
        size_bytes += 0 if shape.tails is None else shape.tails.nbytes
        if size_bytes > self._max_bytes:
            return
        self._forget(key)
        self._shapes[key] = (shape, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            self._forget(next(iter(self._shapes)))

    def digest(self, fixed: bytes | memoryview) -> bytes:
        """Return the hash of a request's fixed part."""
        return xxhash.xxh3_128_digest(fixed, self._seed)

    def clear(self) -> None:
        """Forget all."""
        self._shapes.clear()
        self.size_bytes = 0

    def _forget(self, key: bytes) -> None:
        kept = self._shapes.pop(key, None)
        self.size_bytes -= kept[1] if kept else 0
