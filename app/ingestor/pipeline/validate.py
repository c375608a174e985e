"""What a valid point is. The database guards none of this: it would take infinite times and make chunks for them."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingestor.config import Settings
from ingestor.points import Series, describe_identity

MAX_POINTS = 200_000
MAX_ROWS = 50_000
MAX_SERIES = 65_536
MAX_COLUMNS = 1_000
"""Most points, rows, series and blocks of columns of one request.

A valid row has 26 bytes or more, but an empty message has 2, and decoding one that is unlike any seen before takes
about 10 us: what a hostile 4 MiB could hold would stop the event loop for a minute.
"""

MAX_DESCRIBED = 100
"""Faults of one request that keep the identity of their point; more are told apart by field and reason alone."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a point is invalid: the field inside the point, a stable reason, words, and what is known of its identity."""

    field: str
    reason: str
    message: str
    identity: dict[str, object]


@dataclass(slots=True)
class Retention:
    """The age from which on the database drops points, in microseconds, as last read; None where it drops none."""

    us: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on one point; sizes in bytes of UTF-8, times in microseconds before and after now.

    ``retention`` may change at any time: a point that is older would be acknowledged and dropped.
    """

    name_bytes: int
    label_value_bytes: int
    labels_per_point: int
    labels_bytes: int
    behind_us: int
    ahead_us: int
    retention: Retention = field(default_factory=Retention)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Limits":
        """Return the limits that ``settings`` ask for."""
        return cls(
            settings.name_bytes,
            settings.label_value_bytes,
            settings.labels_per_point,
            settings.labels_bytes,
            int(settings.time_behind_s * 1_000_000),
            int(settings.time_ahead_s * 1_000_000),
        )

    @property
    def oldest_us(self) -> int:
        """Return the greatest age that a point may have, in microseconds."""
        kept_us = self.retention.us
        return self.behind_us if kept_us is None else min(kept_us, self.behind_us)

    def too_old(self) -> Fault:
        """Return what is wrong with a point of a greater age."""
        if self.oldest_us < self.behind_us:
            text = f"is older than {self.oldest_us // 1_000_000} s, from which age on the database drops points"
            return Fault("time_unix_nano", "older_than_retention", text, {})
        return _outside("time_too_far_behind", "before", self.behind_us)

    def too_new(self) -> Fault:
        """Return what is wrong with a point too far ahead."""
        return _outside("time_too_far_ahead", "after", self.ahead_us)

    def check_identity(self, service: str, metric: str, labels: Iterable[tuple[str, str]]) -> Series | Fault:
        """Return the series, its labels sorted, or what is wrong with it."""
        pairs = sorted(itertools.islice(labels, self.labels_per_point + 1))
        fault = (
            self._check_name("service_name", service)
            or self._check_name("metric_name", metric)
            or self._check_labels(pairs)
        )
        if fault is None:
            return Series(service, metric, tuple(pairs))
        field, reason, message = fault
        return Fault(field, reason, message, describe_identity(service, metric, pairs))

    def _check_name(self, field: str, name: str) -> tuple[str, str, str] | None:
        if not name:
            return field, "name_empty", "must not be empty"
        return self._check_text(field, name, self.name_bytes, "name_too_long")

    def _check_text(self, field: str, text: str, limit: int, reason: str) -> tuple[str, str, str] | None:
        size = len(text) if text.isascii() else len(text.encode())
        if size > limit:
            return field, reason, f"has {size} bytes, at most {limit} are allowed"
        if "\0" in text:
            return field, "nul_character", "contains a NUL character"
        return None

    def _check_labels(self, pairs: list[tuple[str, str]]) -> tuple[str, str, str] | None:
        if len(pairs) > self.labels_per_point:
            return "labels", "labels_too_many", f"at most {self.labels_per_point} labels are allowed"
        size = 0
        previous: str | None = None
        for name, value in pairs:
            fault = self._check_name("labels.name", name) or self._check_text(
                "labels.value", value, self.label_value_bytes, "label_value_too_long"
            )
            if fault is not None:
                return fault
            if name == previous:
                return "labels.name", "label_repeated", f"label {name!r} is given twice"
            previous = name
            size += len(name.encode()) + len(value.encode())
        if size > self.labels_bytes:
            return "labels", "labels_too_large", f"labels take {size} bytes, at most {self.labels_bytes} are allowed"
        return None


def _outside(reason: str, words: str, limit_us: int) -> Fault:
    text = f"is more than {limit_us // 1_000_000} s {words} the server's time"
    return Fault("time_unix_nano", reason, text, {})
