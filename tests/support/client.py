"""What tests of the client share: a request, who is told of its retries, and what became of its points."""

import asyncpg
import numpy as np

from ingestor.client.encode import Batch, Form, Mint, Request, SeriesBlock, encode_requests, encode_series
from ingestor.keys import mint_key
from ingestor.points import Ack, Series
from support.database import Database


def one_request(form: Form = Form.COLUMNS, ack: Ack | None = None, mint: Mint = mint_key) -> Request:
    """Return a request with one point."""
    block = SeriesBlock([encode_series(Series("service", "metric", (("host", "a"),)))])
    batch = Batch(block, np.zeros(1, np.uint32), np.full(1, 10**18, np.int64), np.ones(1))
    return next(encode_requests(batch, form, ack, mint))


class Retries:
    """Notes the statuses and texts of retries."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.messages: list[str] = []

    def __call__(self, status: str, message: str) -> None:
        self.statuses.append(status)
        self.messages.append(message)


async def stored_points(database: Database, service_name: str = "service") -> list[asyncpg.Record]:
    """Return the points of a service as a reader sees them, by metric, time and value."""
    connection = await asyncpg.connect(database.reader_url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(
            "SELECT metric_name, labels::text, value, (extract(epoch FROM time) * 1000000)::bigint AS time_us"
            " FROM analytics.metrics WHERE service_name = $1 ORDER BY metric_name, time, value",
            service_name,
        )
    finally:
        await connection.close()
    return rows
