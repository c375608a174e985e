"""The requests of a storm: every point's series, time and value follow from a few numbers, and no value comes twice."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from analytics.v1 import ingestor_pb2 as pb
from faults.storm.marks import Fate, Mark
from faults.storm.rules import Rules
from faults.storm.texts import METRICS, metric_of, text_of

SERIES = 240
CLIENT_SHIFT = 40
DAY_US = 86_400_000_000
_BLOCKED = 1 << 60
_UNICODE = "utf-8"
_MAX_ROWS, _MAX_COLUMNS, _SMALL_ROWS = 500, 2_000, 20


class Form(Enum):
    """How a request carries its points."""

    COLUMNS = "columns"
    ROWS = "rows"
    LOG_METRIC = "LogMetric"


@dataclass(slots=True)
class Request:
    """One request and what became of it.

    Point ``i`` has the value ``first + i``; points at ``late`` are a day ahead, which validation refuses, points at
    ``negative`` have the negated value, which a CHECK refuses. ``marks`` are points that a rule may refuse;
    ``encoding`` is the database's, which refuses series that it cannot write.
    ``chance`` decides the request's fate alone. ``told`` are the points that were accepted and rejected by the reply,
    ``sent_s`` and ``settled_s`` the times of the first attempt and the last reply.
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
    marks: Mapping[int, Mark] = field(default_factory=dict)
    buffered: bool = False
    encoding: str = _UNICODE
    key: uuid.UUID | None = None
    attempts: int = 0
    first_replies: int = 0
    acked: bool = False
    last_status: str = ""
    told: tuple[int, int] | None = None
    sent_s: float = 0.0
    settled_s: float = inf

    @property
    def rejected(self) -> int:
        """Return how many points must be refused, marked ones aside."""
        return len(self.late) + len(self.negative)

    @property
    def accepted(self) -> int:
        """Return how many points must be stored, where none is marked."""
        return self.size - self.rejected

    def times_us(self) -> NDArray[np.int64]:
        """Return each point's time, in microseconds since 1970."""
        times: NDArray[np.int64] = self.base_us + np.arange(self.size, dtype=np.int64)
        times[list(self.late)] += 30 * DAY_US
        return times

    def values(self) -> NDArray[np.float64]:
        """Return each point's value."""
        values = np.arange(self.first, self.first + self.size, dtype=np.float64)
        for position, mark in self.marks.items():
            values[position] += mark.value
        values[[*self.negative, *(position for position, mark in self.marks.items() if mark is Mark.UNKEPT)]] *= -1
        return values

    def series(self) -> NDArray[np.int64]:
        """Return the number of each point's series."""
        numbers: NDArray[np.int64] = (self.first_series + np.arange(self.size, dtype=np.int64)) % SERIES
        for position, mark in self.marks.items():
            if mark is Mark.BLOCKED:
                numbers[position] = _BLOCKED + self.first + position
        return numbers

    def fates(self, rules: Rules) -> NDArray[np.int8]:
        """Return what has to become of each point, as values of ``Fate``."""
        fates = np.full(self.size, Fate.STORED, dtype=np.int8)
        fates[[*self.late, *self.negative]] = Fate.REFUSED
        if self.encoding != _UNICODE:
            fates[[not _fits(number, self.encoding) for number in self.series().tolist()]] = Fate.REFUSED
        settled_s = inf if self.buffered else self.settled_s
        for position, mark in self.marks.items():
            fates[position] = rules.fate(mark, self.sent_s, settled_s)
        return fates

    def message(self) -> pb.WriteRequest | pb.LogMetricsRequest:
        """Return the message, the key left out."""
        if self.form is Form.LOG_METRIC:
            return self._single()
        return self._columns() if self.form is Form.COLUMNS else self._rows()

    def _single(self) -> pb.LogMetricsRequest:
        service, metric, labels = identity(int(self.series()[0]))
        request = pb.LogMetricsRequest(service_name=service, metric_name=metric, value=self.first)
        if self.marks or self.negative:
            request.double_value = self.values()[0]
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
    if number >= _BLOCKED:
        return "storm", f"blocked.{number - _BLOCKED}", {text_of(number) or "kind": "fault"}
    return (
        "storm",
        metric_of(number),
        {"number": str(number), text_of(number // len(METRICS)) or "kind": text_of(number)},
    )


def _fits(number: int, encoding: str) -> bool:
    """Tell whether a series can be written in the database's encoding."""
    service, metric, labels = identity(number)
    try:
        "".join((service, metric, *labels, *labels.values())).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


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
        return self._made(form, size, late, negative)

    def make_small(self) -> Request:
        """Return a request of a few valid points."""
        form = self._chance.choices(list(Form), (35, 35, 30))[0]
        return self._made(form, 1 if form is Form.LOG_METRIC else self._chance.randint(1, _SMALL_ROWS))

    def _made(self, form: Form, size: int, late: tuple[int, ...] = (), negative: tuple[int, ...] = ()) -> Request:
        day = self._chance.randrange(3)
        request = Request(
            client=self._client,
            form=form,
            first=((self._client + 1) << CLIENT_SHIFT) + self.points,
            size=size,
            base_us=self._now_us - day * DAY_US + self.points,
            first_series=self._chance.randrange(SERIES),
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
