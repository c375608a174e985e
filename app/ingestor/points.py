"""A batch of points as columns: the one type that passes through all rooms.

A series is known inside the process by its slot in a ``SeriesTable``: slots make every look-up of many points one
numpy gather. A table only grows; whoever bounds its memory starts a new one, and batches keep the one they were
made with.
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

SlotColumn = NDArray[np.int32]
IdColumn = NDArray[np.int64]
TimeColumn = NDArray[np.int64]
ValueColumn = NDArray[np.float64]

SERIES_OVERHEAD_BYTES = 400
"""What one series costs beside its texts, measured with tracemalloc: objects, dict entry, numpy rows."""

SHOWN_CHARACTERS = 64
SHOWN_LABELS = 8
"""How much of a rejected point's identity is kept: enough to find its sender, little enough to hold many."""


class Ack(IntEnum):
    """What an OK answer promises, weakest first; the numbers are those of ``analytics.v1.Ack``."""

    BUFFERED = 1
    COMMITTED = 3


@dataclass(frozen=True, slots=True)
class Series:
    """The identity of a time series; labels are sorted by name."""

    service_name: str
    metric_name: str
    labels: tuple[tuple[str, str], ...]

    def digest(self) -> bytes:
        """Return the BLAKE2b-256 of the identity: every text as its length in 4 bytes, then its UTF-8."""
        canonical = bytearray()
        for text in (self.service_name, self.metric_name, *(part for label in self.labels for part in label)):
            encoded = text.encode()
            canonical += len(encoded).to_bytes(4, "big") + encoded
        return hashlib.blake2b(canonical, digest_size=32).digest()

    def labels_json(self) -> str:
        """Return the labels as a JSON object."""
        return json.dumps(dict(self.labels), ensure_ascii=False)


def series_id(digest: bytes) -> int:
    """Return the first 8 bytes of a series digest as the signed integer that the database stores."""
    return int.from_bytes(digest[:8], "big", signed=True)


def describe_identity(service: str, metric: str, labels: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return an identity that may be invalid, for people: cut short, and fit for the database's text."""
    return {
        "service_name": _shown(service),
        "metric_name": _shown(metric),
        "labels": {_shown(name): _shown(value) for name, value in itertools.islice(labels, SHOWN_LABELS)},
    }


def _shown(text: str) -> str:
    return text[:SHOWN_CHARACTERS].replace("\0", "\ufffd")


class SeriesTable:
    """Series by slot, with their ids and whether the database is known to have them."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.digests: list[bytes] = []
        self.size_bytes = 0
        self._slots: dict[Series, int] = {}
        self._ids = np.zeros(1024, np.int64)
        self._stored = np.zeros(1024, np.int32)
        self._counted, self._all_stored = 0, 0

    def __len__(self) -> int:
        return len(self.series)

    def intern(self, series: Series) -> int:
        """Return the slot of ``series``, giving it one if it is new."""
        slot = self._slots.get(series)
        if slot is not None:
            return slot
        slot = len(self.series)
        if slot == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._stored = np.concatenate([self._stored, np.zeros_like(self._stored)])
        digest = series.digest()
        self._slots[series] = slot
        self.series.append(series)
        self.digests.append(digest)
        self._ids[slot] = series_id(digest)
        texts = (series.service_name, series.metric_name, *(part for label in series.labels for part in label))
        self.size_bytes += SERIES_OVERHEAD_BYTES + sum(map(sys.getsizeof, texts))
        return slot

    def ids(self, slots: SlotColumn) -> IdColumn:
        """Return the database ids of ``slots``."""
        return self._ids[slots]

    def lacks(self, epoch: int) -> bool:
        """Tell whether ``missing`` may find anything: some series was not seen in ``epoch`` or later."""
        return self._counted != len(self) or self._all_stored < epoch

    def is_stored(self, slot: int) -> bool:
        """Tell whether some connection saw this series in the database."""
        return bool(self._stored[slot])

    def missing(self, slots: SlotColumn, epoch: int) -> SlotColumn:
        """Return the distinct slots whose series were not seen in the database in ``epoch`` or later.

        An epoch is a connection's number, from 1: after a reconnect the database may be another one, so what
        earlier connections saw counts no more.
        """
        unknown = slots[self._stored[slots] < epoch]
        return np.unique(unknown) if len(unknown) else unknown

    def mark_stored(self, slots: SlotColumn, epoch: int) -> None:
        """Remember that the database had these series in ``epoch``."""
        self._stored[slots] = np.maximum(self._stored[slots], epoch)
        self._counted = len(self)
        self._all_stored = int(self._stored[: len(self)].min()) if len(self) else 0


@dataclass(frozen=True, slots=True)
class Reject:
    """One point that is not stored, kept for people in the table ``rejects``.

    ``index`` is the point's position in its request; ``point`` is what is known of it, cut short, as a JSON object.
    """

    index: int
    reason: str
    field: str
    message: str
    point: str


@dataclass(frozen=True, slots=True)
class Points:
    """Valid points as columns of equal length, owning their memory.

    ``times_us`` are microseconds since 1970-01-01 UTC; ``first_us`` and ``last_us`` are their extremes.
    """

    table: SeriesTable
    slots: SlotColumn
    times_us: TimeColumn
    values: ValueColumn
    first_us: int
    last_us: int

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def size_bytes(self) -> int:
        """Return the memory that the columns hold, in bytes."""
        return self.slots.nbytes + self.times_us.nbytes + self.values.nbytes
