"""From the bytes of an ``analytics.v1.Series`` to a slot: the look-up of every point in a request of unknown shape.

Bounded in bytes: when the cache is full it starts anew with a new table. Requests that wait keep the old one alive;
what old tables take is bounded too.
"""

import sys
import weakref

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from analytics.v1 import ingestor_pb2
from ingestor.errors import TransientError
from ingestor.pipeline.shapes import Shapes
from ingestor.pipeline.validate import Fault, Limits
from ingestor.points import SeriesTable

_ENTRY_OVERHEAD_BYTES = 150


class SeriesCache:
    """Slots by encoded series, the table they belong to, and the shapes of requests that hold them."""

    def __init__(self, limits: Limits, max_bytes: int) -> None:
        self._limits = limits
        self._max_bytes = max_bytes
        self._old: weakref.WeakSet[SeriesTable] = weakref.WeakSet()
        self._start_anew()

    def _start_anew(self) -> None:
        self.table = SeriesTable()
        self.shapes = Shapes()
        self._slots: dict[bytes, int] = {}
        self._identities: dict[tuple[str, ...], int] = {}
        self._keys_bytes = 0
        self.get = self._slots.get

    @property
    def size_bytes(self) -> int:
        """Return the memory of the cache and its table, in bytes; the shapes have a bound of their own."""
        return self._keys_bytes + self.table.size_bytes

    def begin_request(self) -> None:
        """Make room; call before the first look-up of a request, whose slots all belong to one table.

        Raises:
            TransientError: requests that wait keep so many old tables alive that there is no room for another.
        """
        if self.size_bytes <= self._max_bytes:
            return
        if sum(table.size_bytes for table in self._old) > self._max_bytes:
            raise TransientError("the series of requests that wait fill the cache", reason="series_cache_full")
        self._old.add(self.table)
        self._start_anew()

    def resolve(self, raw: bytes) -> int | Fault:
        """Return the slot of an encoded series, or what is wrong with it.

        Raises:
            DecodeError: not a Series message.
        """
        slot = self.get(raw)
        if slot is not None:
            return slot
        return self._add(raw, ingestor_pb2.Series.FromString(raw))

    def resolve_prefix(self, raw: bytes) -> int | Fault | None:
        """Do the same for a point's bytes before its tail; None where they are anything but one whole identity."""
        try:
            series = ingestor_pb2.Series.FromString(raw)
        except DecodeError:
            return None
        return None if len(UnknownFieldSet(series)) else self._add(raw, series)

    def resolve_fields(self, message: "ingestor_pb2.Point | ingestor_pb2.LogMetricsRequest") -> int | Fault:
        """Do the same for a message that carries an identity among other fields."""
        identity: tuple[str, ...] = (message.service_name, message.metric_name)
        for label in message.labels:
            identity += (label.name, label.value)
        slot = self._identities.get(identity)
        if slot is not None:
            return slot
        series = ingestor_pb2.Series(
            service_name=message.service_name, metric_name=message.metric_name, labels=message.labels
        )
        found = self.resolve(series.SerializeToString())
        if not isinstance(found, Fault):
            self._identities[identity] = found
            self._keys_bytes += sum(map(sys.getsizeof, identity)) + _ENTRY_OVERHEAD_BYTES
        return found

    def _add(self, raw: bytes, message: ingestor_pb2.Series) -> int | Fault:
        series = self._limits.check_identity(
            message.service_name, message.metric_name, ((label.name, label.value) for label in message.labels)
        )
        if isinstance(series, Fault):
            return series
        slot = self.table.intern(series)
        self._slots[raw] = slot
        self._keys_bytes += len(raw) + _ENTRY_OVERHEAD_BYTES
        return slot
