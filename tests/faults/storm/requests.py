"""The requests of a storm: every point has a number of its own, from which its series, time and value follow."""

import random
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key

SERIES = 97
STEP_NS = 1_000
"""A microsecond from point to point: the resolution of what is stored."""


@dataclass(frozen=True, slots=True)
class StormData:
    """One storm's points: the service they belong to and the time of the first, in nanoseconds since 1970."""

    service_name: str
    first_ns: int

    def series(self, number: int) -> str:
        """Return the metric of a point."""
        return f"m{number % SERIES}"

    def times_us(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the times of points in microseconds."""
        return self.first_ns // 1_000 + numbers


@dataclass(frozen=True, slots=True)
class StormRequest:
    """Points ``first`` to ``end`` (excluded) and ``invalid`` ones that no number counts, with the fate they shall have.

    ``fate`` is one of: none, ``before`` and ``after`` (the first reply is thrown away before or after COMMIT),
    ``twin`` (two servers get it at once), ``again`` (it is sent again once it is acked).
    """

    method: str
    payload: bytes
    metadata: tuple[tuple[str, str], ...]
    first: int
    end: int
    invalid: int
    fate: str


def make_request(data: StormData, seed: int, first: int, end: int) -> StormRequest:
    """Return the request that begins with point ``first``, the same for the same seed; ``end`` bounds the storm."""
    chance = random.Random(f"request {seed} {first}")
    fate = chance.choices(("", "before", "after", "twin", "again"), (82, 5, 5, 4, 4))[0]
    form = chance.choices(("single", "rows", "columns"), (25, 35, 40))[0]
    size = {"single": 1, "rows": chance.randint(1, 200), "columns": chance.randint(50, 600)}[form]
    last = min(end, first + size)
    key = mint_key()
    if form == "single":
        return _single(data, first, fate, key)
    invalid = chance.randint(1, 3) if chance.random() < 0.1 else 0
    request = pb.WriteRequest(idempotency_key=key.bytes)
    if form == "rows":
        for number in range(first, last):
            point = request.points.add(service_name=data.service_name, metric_name=data.series(number))
            point.time_unix_nano, point.double_value = data.first_ns + number * STEP_NS, float(number)
        for _ in range(invalid):
            request.points.add(service_name=data.service_name, metric_name="", double_value=1.0)
    else:
        request.columns.append(_columns(data, first, last, invalid))
    return StormRequest("Write", request.SerializeToString(), (), first, last, invalid, fate)


def _single(data: StormData, number: int, fate: str, key: uuid.UUID) -> StormRequest:
    request = pb.LogMetricsRequest(
        service_name=data.service_name, metric_name=data.series(number), double_value=float(number)
    )
    request.timestamp.FromNanoseconds(data.first_ns + number * STEP_NS)
    metadata = (("x-idempotency-key", str(key)),)
    return StormRequest("LogMetric", request.SerializeToString(), metadata, number, number + 1, 0, fate)


def _columns(data: StormData, first: int, last: int, invalid: int) -> pb.Columns:
    numbers = range(first, last)
    names = [data.series(number) for number in range(SERIES)]
    return pb.Columns(
        series=[pb.Series(service_name=data.service_name, metric_name=name) for name in names],
        series_index=[*(number % SERIES for number in numbers), *[SERIES] * invalid],
        time_unix_nano=[*(data.first_ns + number * STEP_NS for number in numbers), *[0] * invalid],
        value=[*map(float, numbers), *[0.0] * invalid],
    )
