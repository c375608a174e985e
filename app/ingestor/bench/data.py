"""The fixed data set of every measurement: 10,000 series with two labels, a 10 s step, random walks, seed 1."""

import time
from dataclasses import dataclass

import numpy as np

from ingestor.client.encode import Form, Request, encode_requests, encode_series
from ingestor.keys import mint_key
from ingestor.load.synthetic import SyntheticSource, synthetic_series
from ingestor.points import Ack, series_id
from ingestor.storage.copy_format import encode_rows, sort_order

SEED = 1
SERVICE_NAME = "bench"
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How points travel in one measurement."""

    name: str
    form: Form
    points: int
    points_per_request: int
    in_flight: int
    series: int = 10_000


WIDE = Shape("columns, 10,000 series x 1 step", Form.COLUMNS, 3_000_000, 10_000, 8)
DEEP = Shape("columns, 1,000 series x 10 steps", Form.COLUMNS, 4_000_000, 10_000, 8, series=1_000)
ROWS = Shape("rows, 1,000 points a request", Form.ROWS, 1_000_000, 1_000, 64)
SINGLES = Shape("single calls, 64 in flight, buffered", Form.SINGLE, 5_000, 1, 64)
LONE = Shape("single calls, one after the other, committed", Form.SINGLE, 300, 1, 1)


def make_requests(shape: Shape, ack: Ack = Ack.COMMITTED) -> list[Request]:
    """Return a shape's requests, encoded, each with a key of its own."""
    return [
        request
        for batch in _source(shape).batches(shape.points_per_request)
        for request in encode_requests(batch, shape.form, ack, mint_key)
    ]


def make_copy_buffers(shape: Shape, rows_per_buffer: int) -> list[memoryview]:
    """Return the same points as COPY streams, sorted as the server sorts them."""
    series = [synthetic_series(SERVICE_NAME, number) for number in range(shape.series)]
    ids = np.array([series_id(one.digest()) for one in series], np.int64)
    numbers = {encode_series(one): number for number, one in enumerate(series)}
    buffers = []
    for batch in _source(shape).batches(rows_per_buffer):
        first = numbers[batch.block.messages[0]]  # a batch counts from the first series that it has
        batch_ids = ids[(batch.series_index.astype(np.int64) + first) % shape.series]
        times_us = batch.times_ns // 1_000
        order = sort_order(batch_ids, times_us // _DAY_US)
        buffers.append(encode_rows(batch_ids[order], times_us[order], batch.values[order]))
    return buffers


def _source(shape: Shape) -> SyntheticSource:
    return SyntheticSource(
        service_name=SERVICE_NAME, points=shape.points, series=shape.series, seed=SEED, now_ns=time.time_ns()
    )
