"""The rows of a flush: the columns of its parts laid end to end, and the way back from a row to its part."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ingestor.points import (
    IdColumn,
    Points,
    Reject,
    SeriesTable,
    SlotColumn,
    TimeColumn,
    ValueColumn,
    describe_identity,
)
from ingestor.storage.copy_format import encode_rows, sort_order
from ingestor.storage.set_aside import SetAside

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the order they are sent; ``origin`` is each row's position in the parts laid end to end."""

    parts: Sequence[Points]
    starts: NDArray[np.intp]
    origin: NDArray[np.intp]
    ids: IdColumn
    times_us: TimeColumn
    values: ValueColumn

    def __len__(self) -> int:
        return len(self.origin)

    def encode(self, first: int, end: int) -> memoryview:
        """Return the COPY stream of rows ``first`` to ``end`` (excluded)."""
        return encode_rows(self.ids[first:end], self.times_us[first:end], self.values[first:end])

    def as_json(self, first: int, end: int) -> list[tuple[int, int, str]]:
        """Return time in microseconds, series and value of rows ``first`` to ``end`` (excluded).

        A value is text: JSON has neither NaN nor infinities.
        """
        columns = (self.times_us[first:end].tolist(), self.ids[first:end].tolist(), self.values[first:end].tolist())
        return [(time_us, series_id, repr(value)) for time_us, series_id, value in zip(*columns, strict=True)]

    def locate(self, row: int) -> tuple[int, int]:
        """Return the part of a row, and the row's position in that part."""
        origin = int(self.origin[row])
        part = int(np.searchsorted(self.starts, origin, side="right")) - 1
        return part, origin - int(self.starts[part])


def lay_out(parts: Sequence[Points], chunk_us: int, left_out: Sequence[SetAside | None]) -> Rows:
    """Lay the columns of ``parts`` end to end, without the points in ``left_out``, and sort them for COPY."""
    starts = np.cumsum([0, *(len(points) for points in parts)])[:-1]
    ids = np.concatenate([np.empty(0, np.int64), *(table.ids(slots) for table, slots in by_table(parts))])
    times_us = np.concatenate([np.empty(0, np.int64), *(points.times_us for points in parts)])
    values = np.concatenate([np.empty(0, np.float64), *(points.values for points in parts)])
    one_chunk = len({us // chunk_us for points in parts for us in (points.first_us, points.last_us)}) <= 1
    order = sort_order(ids, None if one_chunk else times_us // chunk_us)
    if any(left_out):
        marks = [
            aside.marks if aside else np.zeros(len(points), np.bool_)
            for points, aside in zip(parts, left_out, strict=True)
        ]
        order = order[~np.concatenate(marks)[order]]
    return Rows(parts, starts, order, ids.take(order), times_us.take(order), values.take(order))


def by_table(parts: Sequence[Points]) -> list[tuple[SeriesTable, SlotColumn]]:
    """Return the slots of ``parts`` in order, joined where neighbours share a table (nearly always all do)."""
    groups: list[tuple[SeriesTable, list[SlotColumn]]] = []
    for points in parts:
        if not groups or groups[-1][0] is not points.table:
            groups.append((points.table, []))
        groups[-1][1].append(points.slots)
    return [(table, np.concatenate(slots)) for table, slots in groups]


def describe_point(points: Points, position: int, reason: str, message: str) -> Reject:
    """Return what is kept of a valid point that is not stored after all."""
    series = points.table.series[int(points.slots[position])]
    point = describe_identity(series.service_name, series.metric_name, series.labels) | {
        "time": (_EPOCH + timedelta(microseconds=int(points.times_us[position]))).isoformat(),
        "value": str(points.values[position]),  # as text: JSON has neither NaN nor infinities
    }
    return Reject(position, reason, "", message, json.dumps(point, ensure_ascii=False))
