"""A time series as a handle: its identity is checked and serialised once, its points cost nearly nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ingestor.client.encode import encode_series, series_field
from ingestor.points import Series

SERIES_OVERHEAD_BYTES = 600
"""What a handle costs beside its serialised identity: its objects and texts, measured with tracemalloc."""

REMEMBERED_BYTES = 32 * 1024 * 1024
"""Memory of handles found by name; beyond it the memory starts anew, and handles that are in use stay good."""


class Intake(Protocol):
    """Takes a handle's points."""

    def add(self, series: SeriesHandle, value: float, time_ns: int | None) -> bool:
        """Take a point and return True, or False where there is no room."""

    async def add_and_yield(self, series: SeriesHandle, value: float, time_ns: int | None) -> None:
        """Take a point, waiting for room."""


class SeriesHandle:
    """One time series of one client; make it with ``Client.series`` and keep it for as long as there are points."""

    __slots__ = ("_intake", "batch", "field", "position", "series", "size_bytes")

    def __init__(self, series: Series, intake: Intake) -> None:
        self.series = series
        self.field = series_field(encode_series(series))
        self.size_bytes = len(self.field)
        # The batch that has this series, and as which one.
        self.batch: object = None
        self.position = 0
        self._intake = intake

    async def record(self, value: float, *, time_ns: int | None = None) -> None:
        """Record a point; as ``Client.record``."""
        await self._intake.add_and_yield(self, value, time_ns)

    def try_record(self, value: float, *, time_ns: int | None = None) -> bool:
        """Record a point and return True, or return False at once where there is no room; as ``Client.try_record``."""
        return self._intake.add(self, value, time_ns)


class SeriesBook:
    """Handles by identity."""

    def __init__(self, intake: Intake, largest_bytes: int) -> None:
        self._intake = intake
        self._largest_bytes = largest_bytes
        self._handles: dict[tuple[str, str, tuple[tuple[str, str], ...]], SeriesHandle] = {}
        self._size_bytes = 0

    def handle(self, service_name: str, metric_name: str, labels: Mapping[str, str] | None) -> SeriesHandle:
        """Return the handle of an identity, making it where it is new.

        Raises:
            ValueError: a name is empty, a text can't be encoded as UTF-8, or all together are too long to be sent.
            TypeError: a name, or a label's value, is no text.
        """
        try:
            identity = service_name, metric_name, tuple(sorted(labels.items())) if labels else ()
            found = self._handles.get(identity)
        except (TypeError, AttributeError):  # what can't be sorted or hashed, or is no mapping
            _check_texts(service_name, metric_name, labels)
            raise
        if found is None:
            _check_texts(service_name, metric_name, labels)
            found = self._make(Series(*identity))
            if self._size_bytes > REMEMBERED_BYTES:
                self._handles, self._size_bytes = {}, 0
            self._handles[identity] = found
            self._size_bytes += SERIES_OVERHEAD_BYTES + found.size_bytes
        return found

    def _make(self, series: Series) -> SeriesHandle:
        if not (series.service_name and series.metric_name and all(name for name, _ in series.labels)):
            raise ValueError("service, metric and label names must not be empty")
        handle = SeriesHandle(series, self._intake)
        if handle.size_bytes > self._largest_bytes:
            raise ValueError(f"names and labels take {handle.size_bytes} bytes, at most {self._largest_bytes} are sent")
        return handle


def _check_texts(service_name: object, metric_name: object, labels: object) -> None:
    """Refuse what is no text: protobuf would take None for an empty text, and bytes for the text that they encode.

    Only once for each identity: a text equals nothing else.
    """
    if not isinstance(labels, Mapping | None):
        raise TypeError(f"labels must be a mapping of str to str, got {type(labels).__name__}")
    named = [("service_name", service_name), ("metric_name", metric_name)]
    for name, value in (labels or {}).items():
        named += [("a label's name", name), (f"label {name!r}", value)]
    for what, text in named:
        if not isinstance(text, str):
            raise TypeError(f"{what} must be a str, got {text!r} of type {type(text).__name__}")
