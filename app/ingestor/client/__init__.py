"""The client: records points, sends them in batches until they are answered, and tells what became of them."""

from ingestor.client.accounts import ClientStats
from ingestor.client.client import Client
from ingestor.client.failures import (
    ClientClosedError,
    ClientFullError,
    Failure,
    FlushTimeoutError,
    ForeignUseError,
    PointsFailedError,
    RejectedPoint,
)
from ingestor.client.series import SeriesHandle
from ingestor.points import Ack

__all__ = [
    "Ack",
    "Client",
    "ClientClosedError",
    "ClientFullError",
    "ClientStats",
    "Failure",
    "FlushTimeoutError",
    "ForeignUseError",
    "PointsFailedError",
    "RejectedPoint",
    "SeriesHandle",
]
