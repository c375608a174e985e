"""Turn batches into the bytes of requests, fast enough that the client is not what a benchmark measures.

Columns are numpy's own memory behind a few bytes of framing, and a block of series is serialised once however often
it is sent. The bytes are those that the generated classes write; a test proves it.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from analytics.v1 import ingestor_pb2 as pb
from ingestor.keys import KEY_BYTES
from ingestor.points import Ack, Series

_KEY_METADATA = "x-idempotency-key"
_KEY_HEAD = b"\x0a\x10"
"""Tag and length of ``idempotency_key``: the first field that is written."""

_REQUEST_POINT = b"\x1a"
_REQUEST_COLUMNS = b"\x22"
_COLUMNS_INDEX = b"\x12"
_COLUMNS_TIME = b"\x1a"
_COLUMNS_VALUE = b"\x22"
_POINT_TIME = 0x21
_POINT_VALUE = 0x29
"""Tags of the proto's fields: number << 3 | wire type."""

_POINT_TAIL = np.dtype([("time_tag", "u1"), ("time", "<i8"), ("value_tag", "u1"), ("value", "<f8")])
"""Time and value of a ``Point``: its last two fields, of fixed width."""

_NANOSECONDS = 1_000_000_000

Mint = Callable[[], uuid.UUID]


class Method(StrEnum):
    """The two calls of the service, by full path."""

    WRITE = "/analytics.v1.AnalyticsService/Write"
    LOG_METRIC = "/analytics.v1.AnalyticsService/LogMetric"


class Form(StrEnum):
    """How points travel: ``Write`` with columns, ``Write`` with rows, or ``LogMetric`` for each."""

    COLUMNS = "columns"
    ROWS = "rows"
    SINGLE = "single"


class SeriesBlock:
    """The series of a batch: serialised ``analytics.v1.Series``, in the order that the batch counts them."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.messages = messages

    @cached_property
    def columns_head(self) -> bytes:
        """Return the field ``series`` of ``Columns``."""
        return b"".join(map(series_field, self.messages))

    @cached_property
    def point_heads(self) -> list[bytes]:
        """Return for each series the start of a ``Point`` inside a request: a Point begins with the same fields."""
        return [_REQUEST_POINT + _varint(len(m) + _POINT_TAIL.itemsize) + m for m in self.messages]


@dataclass(frozen=True, slots=True)
class Batch:
    """Points of equal-length columns; ``series_index`` counts in ``block``, ``times_ns`` since 1970 UTC are never 0."""

    block: SeriesBlock
    series_index: NDArray[np.uint32]
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.series_index)


@dataclass(frozen=True, slots=True)
class Request:
    """One call, ready to be sent and sent again: the key is part of it."""

    method: Method
    payload: bytes
    points: int
    metadata: tuple[tuple[str, str], ...] = ()

    def with_key(self, key: uuid.UUID) -> "Request":
        """Return the same points under another key: another request to a server."""
        if self.method is Method.LOG_METRIC:
            others = [entry for entry in self.metadata if entry[0] != _KEY_METADATA]
            return replace(self, metadata=((_KEY_METADATA, str(key)), *others))
        return replace(self, payload=_KEY_HEAD + key.bytes + self.payload[len(_KEY_HEAD) + KEY_BYTES :])


def encode_series(series: Series) -> bytes:
    """Return ``series`` as a serialised ``analytics.v1.Series``."""
    labels = [pb.Label(name=name, value=value) for name, value in series.labels]
    message = pb.Series(service_name=series.service_name, metric_name=series.metric_name, labels=labels)
    return message.SerializeToString()


def series_field(message: bytes) -> bytes:
    """Return a serialised series as one entry of the field ``series`` of ``Columns``."""
    return b"\x0a" + _varint(len(message)) + message


def encode_requests(batch: Batch, form: Form, ack: Ack | None, mint: Mint) -> Iterator[Request]:
    """Return the requests that carry ``batch``: one, or one for each point where ``form`` is single."""
    if form is Form.SINGLE:
        for position in range(len(batch)):
            yield _encode_single(batch, position, ack, mint())
        return
    body = encode_columns(batch) if form is Form.COLUMNS else encode_rows(batch)
    yield Request(Method.WRITE, _head(ack, mint) + body, len(batch))


def encode_columns_request(
    series_fields: Sequence[bytes],
    series_index: NDArray[np.uint32],
    times_ns: NDArray[np.int64],
    values: NDArray[np.float64],
    ack: Ack | None,
    mint: Mint,
) -> Request:
    """Return the request for points whose series come as ``series_field`` each."""
    body = _columns(b"".join(series_fields), series_index, times_ns, values)
    return Request(Method.WRITE, _head(ack, mint) + body, len(values))


def encode_columns(batch: Batch) -> bytes:
    """Return ``batch`` as the field ``columns`` of a ``WriteRequest``."""
    return _columns(batch.block.columns_head, batch.series_index, batch.times_ns, batch.values)


def _head(ack: Ack | None, mint: Mint) -> bytes:
    wire_ack = "ACK_UNSPECIFIED" if ack is None else f"ACK_{ack.name}"
    return pb.WriteRequest(idempotency_key=mint().bytes, ack=wire_ack).SerializeToString()


def _columns(
    head: bytes, series_index: NDArray[np.uint32], times_ns: NDArray[np.int64], values: NDArray[np.float64]
) -> bytes:
    parts = [
        head,
        *_delimited(_COLUMNS_INDEX, series_index.astype("<u4", copy=False).tobytes()),
        *_delimited(_COLUMNS_TIME, times_ns.astype("<i8", copy=False).tobytes()),
        *_delimited(_COLUMNS_VALUE, values.astype("<f8", copy=False).tobytes()),
    ]
    return b"".join((_REQUEST_COLUMNS, _varint(sum(map(len, parts))), *parts))


def encode_rows(batch: Batch) -> bytes:
    """Return ``batch`` as the field ``points`` of a ``WriteRequest``."""
    tails = np.empty(len(batch), _POINT_TAIL)
    tails["time_tag"], tails["time"] = _POINT_TIME, batch.times_ns
    tails["value_tag"], tails["value"] = _POINT_VALUE, batch.values
    width = _POINT_TAIL.itemsize
    body = memoryview(tails.tobytes())
    heads = batch.block.point_heads
    parts: list[bytes | memoryview] = [b""] * (2 * len(batch))
    parts[0::2] = [heads[index] for index in batch.series_index.tolist()]
    parts[1::2] = [body[start : start + width] for start in range(0, len(body), width)]
    return b"".join(parts)


def _encode_single(batch: Batch, position: int, ack: Ack | None, key: uuid.UUID) -> Request:
    identity = pb.Series.FromString(batch.block.messages[int(batch.series_index[position])])
    seconds, nanoseconds = divmod(int(batch.times_ns[position]), _NANOSECONDS)
    message = pb.LogMetricsRequest(
        service_name=identity.service_name,
        metric_name=identity.metric_name,
        timestamp=Timestamp(seconds=seconds, nanos=nanoseconds),
        double_value=float(batch.values[position]),
        labels=identity.labels,
    )
    metadata: tuple[tuple[str, str], ...] = ((_KEY_METADATA, str(key)),)
    if ack is not None:
        metadata += (("x-ack", ack.name.lower()),)
    return Request(Method.LOG_METRIC, message.SerializeToString(), 1, metadata)


def _delimited(tag: bytes, content: bytes) -> tuple[bytes, ...]:
    # An empty packed field is not written at all.
    return (tag, _varint(len(content)), content) if content else ()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
