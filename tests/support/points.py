"""Points and requests for tests."""

import time
import uuid
from collections.abc import Iterable

import asyncpg

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import mint_key


def key_bytes(key: uuid.UUID | None = None) -> bytes:
    """Return a key as the field carries it."""
    return (key or mint_key()).bytes


def columns(
    count: int, *, series: int = 10, value: float = 1.0, key: bytes = b"", name: str = "load"
) -> pb.WriteRequest:
    """Return ``count`` points over ``series`` series, with times one microsecond apart that end now."""
    now = time.time_ns()
    return pb.WriteRequest(
        idempotency_key=key,
        columns=[
            pb.Columns(
                series=[
                    pb.Series(service_name="test", metric_name=name, labels=[pb.Label(name="n", value=str(n))])
                    for n in range(series)
                ],
                series_index=[n % series for n in range(count)],
                time_unix_nano=[now - (count - n) * 1_000 for n in range(count)],
                value=[value + n for n in range(count)],
            )
        ],
    )


def rows(values: Iterable[float], *, key: bytes = b"", name: str = "rows") -> pb.WriteRequest:
    """Return one point per value, all of one series."""
    return pb.WriteRequest(
        idempotency_key=key,
        points=[pb.Point(service_name="test", metric_name=name, double_value=value) for value in values],
    )


async def fetch_value(url: str, query: str, *arguments: object) -> object:
    """Return one value from the database."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def count_samples(url: str) -> object:
    """Return how many points are stored."""
    return await fetch_value(url, "SELECT count(*) FROM analytics.samples")
