"""The requests of a storm: every point's series, time and value follow from a few numbers, and no value comes twice."""

import random
import uuid
from dataclasses import dataclass
from enum import Enum
from math import log

import numpy as np
from numpy.typing import NDArray

from analytics.v1 import ingestor_pb2 as pb

SERIES = 240
_METRICS = 12
_CLIENT_SHIFT = 40
_DAY_US = 86_400_000_000
_MAX_ROWS, _MAX_COLUMNS = 500, 2_000


class Form(Enum):
    """How a request carries its points."""

    COLUMNS = "columns"
    ROWS = "rows"
    LOG_METRIC = "LogMetric"


@dataclass(slots=True)
class Request:
    """One request and what became of it.

    Point ``i`` has the value ``first + i``; points at ``late`` are a day ahead, which validation refuses, points at
    ``negative`` have the negated value, which a CHECK refuses. ``chance`` decides the request's fate alone.
    """

    client: int
    form: Form
    first: int
    size: int
    base_us: int
    first_series: int
    late: tuple[int, ...]
    negative: tuple[int, ...]
    chance: random.Random
    key: uuid.UUID | None = None
    attempts: int = 0
    first_replies: int = 0
    acked: bool = False
    last_status: str = ""

    @property
    def rejected(self) -> int:
        """Return how many points must be refused."""
        return len(self.late) + len(self.negative)

    @property
    def accepted(self) -> int:
        """Return how many points must be stored."""
        return self.size - self.rejected

    def times_us(self) -> NDArray[np.int64]:
        """Return each point's time, in microseconds since 1970."""
        times: NDArray[np.int64] = self.base_us + np.arange(self.size, dtype=np.int64)
        times[list(self.late)] += 30 * _DAY_US
        return times

    def values(self) -> NDArray[np.float64]:
        """Return each point's value."""
        values = np.arange(self.first, self.first + self.size, dtype=np.float64)
        values[list(self.negative)] *= -1
        return values

    def series(self) -> NDArray[np.int64]:
        """Return the number of each point's series."""
        return (self.first_series + np.arange(self.size, dtype=np.int64)) % SERIES

    def storable(self) -> NDArray[np.bool_]:
        """Tell which points may be stored."""
        storable = np.ones(self.size, dtype=bool)
        storable[[*self.late, *self.negative]] = False
        return storable

    def message(self) -> pb.WriteRequest | pb.LogMetricsRequest:
        """Return the message, the key left out."""
        if self.form is Form.LOG_METRIC:
            return self._single()
        return self._columns() if self.form is Form.COLUMNS else self._rows()

    def _single(self) -> pb.LogMetricsRequest:
        service, metric, labels = identity(self.first_series)
        request = pb.LogMetricsRequest(service_name=service, metric_name=metric, value=self.first)
        request.labels.extend(pb.Label(name=name, value=value) for name, value in labels.items())
        request.timestamp.FromMicroseconds(self.base_us)
        return request

    def _rows(self) -> pb.WriteRequest:
        request = pb.WriteRequest()
        columns = zip(self.series().tolist(), self.times_us().tolist(), self.values().tolist(), strict=True)
        for number, time_us, value in columns:
            service, metric, labels = identity(number)
            request.points.add(
                service_name=service,
                metric_name=metric,
                labels=[pb.Label(name=name, value=text) for name, text in labels.items()],
                time_unix_nano=time_us * 1000,
                double_value=value,
            )
        return request

    def _columns(self) -> pb.WriteRequest:
        numbers, index = np.unique(self.series(), return_inverse=True)
        block = pb.Columns(
            series_index=index.tolist(), time_unix_nano=(self.times_us() * 1000).tolist(), value=self.values().tolist()
        )
        for number in numbers.tolist():
            service, metric, labels = identity(number)
            block.series.add(
                service_name=service,
                metric_name=metric,
                labels=[pb.Label(name=name, value=text) for name, text in labels.items()],
            )
        return pb.WriteRequest(columns=[block])


def identity(number: int) -> tuple[str, str, dict[str, str]]:
    """Return service, metric and labels of a series."""
    return "storm", f"metric.{number % _METRICS}", {"number": str(number), "kind": "fault"}


class RequestMaker:
    """The requests of one client without end, in an order that follows from the seed; ``points`` are made so far."""

    def __init__(self, seed: int, client: int, now_us: int) -> None:
        self.points = 0
        self._seed = seed
        self._client = client
        self._now_us = now_us - 3_600_000_000
        self._serial = 0
        self._chance = random.Random(f"requests/{seed}/{client}")

    def make(self) -> Request:
        """Return the next request."""
        chance = self._chance
        form = chance.choices(list(Form), (35, 35, 30))[0]
        size = _size(form, chance)
        late, negative = _invalid(size, chance) if form is not Form.LOG_METRIC else ((), ())
        day = chance.randrange(3)
        request = Request(
            client=self._client,
            form=form,
            first=((self._client + 1) << _CLIENT_SHIFT) + self.points,
            size=size,
            base_us=self._now_us - day * _DAY_US + self.points,
            first_series=chance.randrange(SERIES),
            late=late,
            negative=negative,
            chance=random.Random(f"fate/{self._seed}/{self._client}/{self._serial}"),
        )
        self.points += size
        self._serial += 1
        return request


def _size(form: Form, chance: random.Random) -> int:
    if form is Form.LOG_METRIC:
        return 1
    return int(2.718281828 ** chance.uniform(0, log(_MAX_COLUMNS if form is Form.COLUMNS else _MAX_ROWS)))


def _invalid(size: int, chance: random.Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which points are invalid: few, in a few requests, and never all."""
    if size < 4 or chance.random() > 0.08:
        return (), ()
    picked = chance.sample(range(size), chance.randrange(2, 4))
    return (picked[0],), tuple(sorted(picked[1:]))
