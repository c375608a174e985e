"""Protobuf by hand: fields as any encoder may write them, not only as ours does; and what they mean, read naively."""

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from analytics.v1 import ingestor_pb2 as pb

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

Identity = tuple[str, str, tuple[tuple[str, str], ...]]
PointRead = tuple[Identity, int, bytes]
"""A point's identity, its microseconds, and its value's bytes."""


def varint(number: int) -> bytes:
    """Encode a number of 64 bits at most."""
    encoded = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def text_field(number: int, content: str | bytes) -> bytes:
    """Encode a field of varying length."""
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | LENGTH) + varint(len(raw)) + raw


def varint_field(number: int, value: int) -> bytes:
    """Encode a number of varying length."""
    return varint(number << 3 | VARINT) + varint(value)


def long_field(number: int, value: int) -> bytes:
    """Encode a signed number of 8 bytes."""
    return varint(number << 3 | FIXED64) + struct.pack("<q", value)


def double_field(number: int, value: float) -> bytes:
    """Encode a double."""
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def index_field(number: int, value: int) -> bytes:
    """Encode an unsigned number of 4 bytes."""
    return varint(number << 3 | FIXED32) + struct.pack("<I", value)


def label_field(name: str, value: str) -> bytes:
    """Encode a label of a point or a series."""
    return text_field(3, text_field(1, name) + text_field(2, value))


@dataclass(slots=True)
class Reading:
    """What a request means: its valid points, and the invalid ones as (position, reason, field)."""

    valid: list[PointRead] = field(default_factory=list)
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    refusal: str | None = None

    @property
    def rejected(self) -> Counter[str]:
        """Return the invalid points by reason."""
        return Counter(reason for _, reason, _ in self.rejects)

    def add(self, fault: tuple[str, str] | None, point: PointRead | None) -> None:
        """Note the next point: invalid where it has a fault, given as field and reason."""
        if fault is not None:
            self.rejects.append((len(self.valid) + len(self.rejects), fault[1], fault[0]))
        elif point is not None:
            self.valid.append(point)


@dataclass(frozen=True, slots=True)
class Window:
    """The times that are valid, in microseconds, how long points are kept, and what a time of 0 means."""

    now_us: int
    behind_us: int
    ahead_us: int
    kept_us: int | None = None

    def read(self, time_ns: int) -> int:
        """Return a time in microseconds."""
        return time_ns // 1_000 if time_ns else self.now_us

    def fault(self, time_ns: int) -> str | None:
        """Return why a time is invalid."""
        time_us = self.read(time_ns)
        if self.kept_us is not None and self.kept_us < self.behind_us and time_us < self.now_us - self.kept_us:
            return "older_than_retention"
        if time_us < self.now_us - self.behind_us:
            return "time_too_far_behind"
        return "time_too_far_ahead" if time_us > self.now_us + self.ahead_us else None


def read_naively(message: bytes, window: Window) -> Reading:
    """Read a ``WriteRequest`` point by point with the public messages alone; the limits on text are the defaults."""
    reading = Reading()
    try:
        request = pb.WriteRequest.FromString(message)
    except DecodeError:
        reading.refusal = "malformed"
        return reading
    for number, point in enumerate(request.points):
        path = f"points[{number}]."
        kind = point.WhichOneof("value")
        fault = identity_fault(point) if kind else ("value", "value_missing")
        late = window.fault(point.time_unix_nano)
        found = (path + fault[0], fault[1]) if fault else (f"{path}time_unix_nano", late) if late else None
        value = float(getattr(point, kind)) if kind else 0.0
        reading.add(found, (identity_of(point), window.read(point.time_unix_nano), struct.pack("<d", value)))
    for number, columns in enumerate(request.columns):
        if not len(columns.series_index) == len(columns.time_unix_nano) == len(columns.value):
            reading.refusal = "lengths_differ"
            return reading
        _read_columns(reading, columns, f"columns[{number}].", window)
    if reading.rejects and not reading.valid:
        reading.refusal = reading.rejects[0][1]
    return reading


def _read_columns(reading: Reading, columns: pb.Columns, path: str, window: Window) -> None:
    entries = zip(columns.series_index, columns.time_unix_nano, columns.value, strict=True)
    for place, (index, time_ns, value) in enumerate(entries):
        if index >= len(columns.series):
            reading.add((f"{path}series_index[{place}]", "series_index_out_of_range"), None)
            continue
        series = columns.series[index]
        fault, late = identity_fault(series), window.fault(time_ns)
        found = (f"{path}time_unix_nano[{place}]", late) if late else None
        if fault:
            found = f"{path}series[{index}].{fault[0]}", fault[1]
        reading.add(found, (identity_of(series), window.read(time_ns), struct.pack("<d", value)))


def identity_of(message: pb.Point | pb.Series) -> Identity:
    """Return service, metric and sorted labels."""
    return message.service_name, message.metric_name, tuple(sorted((x.name, x.value) for x in message.labels))


def identity_fault(message: pb.Point | pb.Series) -> tuple[str, str] | None:
    """Return the first field at fault and the reason."""
    service, metric, labels = identity_of(message)
    if len(labels) > 64:
        labels = ()
    checks: Iterable[tuple[str, str | None]] = [
        ("service_name", _name_fault(service)),
        ("metric_name", _name_fault(metric)),
        ("labels", "labels_too_many" if len(message.labels) > 64 else None),
        *_label_faults(labels),
        ("labels", "labels_too_large" if sum(len((n + v).encode()) for n, v in labels) > 16_384 else None),
    ]
    return next(((where, reason) for where, reason in checks if reason), None)


def _label_faults(labels: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str | None]]:
    seen: set[str] = set()
    for name, value in labels:
        yield "labels.name", _name_fault(name)
        too_long = "label_value_too_long" if len(value.encode()) > 2_048 else None
        yield "labels.value", too_long or ("nul_character" if "\0" in value else None)
        yield "labels.name", "label_repeated" if name in seen else None
        seen.add(name)


def _name_fault(name: str) -> str | None:
    if not name:
        return "name_empty"
    if len(name.encode()) > 256:
        return "name_too_long"
    return "nul_character" if "\0" in name else None
