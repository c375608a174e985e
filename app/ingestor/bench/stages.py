"""What the server's own code takes of a point, measured alone in this process: the lower half of a profile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ingestor.bench.data import ROWS, WIDE, Shape, make_requests
from ingestor.config import load_settings
from ingestor.pipeline.decode import Decoder
from ingestor.pipeline.series_cache import SeriesCache
from ingestor.pipeline.validate import Limits
from ingestor.points import Points
from ingestor.storage.rows import lay_out

_POINTS = 100_000
_REPEATS = 5
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Stages:
    """Nanoseconds per point: decoding a request of a shape not seen before, of a known one, and making COPY rows."""

    shape: Shape
    first_decode_ns: float
    known_decode_ns: float
    encode_ns: float


def measure_stages() -> list[Stages]:
    """Return the costs for columns and rows, the best of several rounds each."""
    return [_measure(replace(shape, points=_POINTS)) for shape in (WIDE, ROWS)]


def _measure(shape: Shape) -> Stages:
    limits = Limits.from_settings(load_settings(database_url="postgresql://unused"))
    messages = [request.payload for request in make_requests(shape)]
    decoder = Decoder(limits, SeriesCache(limits, 1 << 26))

    def decode() -> None:
        for message in messages:
            decoder.decode_write(message)

    def decode_first() -> None:
        for message in messages:
            decoder.cache.shapes.clear()
            decoder.decode_write(message)

    decode()
    parts = [decoder.decode_write(message).points for message in messages]
    return Stages(shape, _best_ns(decode_first), _best_ns(decode), _best_ns(lambda: _encode(parts)))


def _encode(parts: list[Points]) -> None:
    """Make COPY streams of batches as large as a usual flush."""
    per_flush = max(1, round(20_000 / np.mean([len(points) for points in parts])))
    for start in range(0, len(parts), per_flush):
        batch = parts[start : start + per_flush]
        rows = lay_out(batch, _DAY_US, [None] * len(batch))
        rows.encode(0, len(rows))


def _best_ns(run: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter_ns()
        run()
        best = min(best, (time.perf_counter_ns() - started) / _POINTS)
    return best
