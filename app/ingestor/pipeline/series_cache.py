"""From the bytes of an ``analytics.v1.Series`` to a slot: the look-up that every point takes.

Bounded in bytes: when the cache is full it starts anew with a new table. Requests that wait keep the old one, and
are charged for the series they added to it, so that the buffer's bound holds for series too.
"""

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from analytics.v1 import ingestor_pb2
from ingestor.errors import InvalidRequestError, Violation
from ingestor.pipeline.validate import Fault, Limits
from ingestor.points import SeriesTable

MAX_NEW_SERIES = 65_536
"""Most series of one request that this process has not seen: each takes about 700 bytes until the flush."""

_ENTRY_OVERHEAD_BYTES = 150


class SeriesCache:
    """Slots by encoded series, and the table they belong to."""

    def __init__(self, limits: Limits, max_bytes: int) -> None:
        self._limits = limits
        self._max_bytes = max_bytes
        self._start_anew()

    def _start_anew(self) -> None:
        self.table = SeriesTable()
        self._slots: dict[bytes, int] = {}
        self._keys_bytes = 0
        self.get = self._slots.get
        self._added = 0

    @property
    def size_bytes(self) -> int:
        """Return the memory of the cache and its table, in bytes."""
        return self._keys_bytes + self.table.size_bytes

    def begin_request(self) -> None:
        """Make room; call before the first look-up of a request, whose slots all belong to one table."""
        self._added = 0
        if self.size_bytes > self._max_bytes:
            self._start_anew()

    def resolve(self, raw: bytes) -> int | Fault:
        """Return the slot of an encoded series, or what is wrong with it.

        Raises:
            DecodeError: not a Series message.
            InvalidRequestError: the request has too many new series.
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
        series = ingestor_pb2.Series(
            service_name=message.service_name, metric_name=message.metric_name, labels=message.labels
        )
        return self.resolve(series.SerializeToString())

    def _add(self, raw: bytes, message: ingestor_pb2.Series) -> int | Fault:
        series = self._limits.check_identity(
            message.service_name, message.metric_name, [(label.name, label.value) for label in message.labels]
        )
        if isinstance(series, Fault):
            return series
        self._added += 1
        if self._added > MAX_NEW_SERIES:
            text = f"more than {MAX_NEW_SERIES} new series in one request"
            raise InvalidRequestError([Violation("points", "new_series_too_many", text)])
        slot = self.table.intern(series)
        self._slots[raw] = slot
        self._keys_bytes += len(raw) + _ENTRY_OVERHEAD_BYTES
        return slot
