"""An in-process server that speaks the proto and keeps points in memory, once for each idempotency key.

It can be told to refuse, to store and lose the reply, to delay, or to hang, request by request.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from analytics.v1 import ingestor_pb2 as pb
from support.eventually import HANG_S

SERVICE = "analytics.v1.AnalyticsService"
KEY_AHEAD_MS, WINDOW_MS = 300_000, 3_600_000
Code = grpc.StatusCode


@dataclass(frozen=True)
class Fault:
    """What happens to one request: it is refused with ``code``, after being stored where ``stored`` is set.

    ``retry_after_s`` is sent as RetryInfo, ``reason`` as our ErrorInfo; ``hangs`` never answers.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    retry_after_s: float | None = None
    reason: str = ""
    stored: bool = False
    hangs: bool = False


@dataclass(frozen=True)
class StoredPoint:
    """One point as the server understood it."""

    service_name: str
    metric_name: str
    labels: tuple[tuple[str, str], ...]
    time_ns: int
    value: float


@dataclass
class FakeIngestor:
    """The service; tests script ``faults`` and read what was stored.

    Where ``clock_ms`` gives the time, keys must be at most 5 minutes ahead of it and an hour behind; a refusal says the
    time if ``tells_time``.
    """

    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    delay_s: float = 0.0
    rejected_per_request: int = 0
    clock_ms: Callable[[], int] | None = None
    tells_time: bool = True
    stored: dict[bytes, list[StoredPoint]] = field(default_factory=dict)
    attempts: list[bytes] = field(default_factory=list)
    acks: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    target: str = ""
    _attempted: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_attempts(self, count: int, timeout_s: float = HANG_S) -> None:
        """Return once ``count`` requests have arrived."""
        async with asyncio.timeout(timeout_s):
            while len(self.attempts) < count:
                self._attempted.clear()
                await self._attempted.wait()

    def fail_next(self, *faults: Fault) -> None:
        """Let the next requests fail, each by one of ``faults``."""
        self.faults.extend(faults)

    @property
    def points(self) -> list[StoredPoint]:
        """All stored points."""
        return [point for points in self.stored.values() for point in points]

    async def write(self, request: pb.WriteRequest, context: Any) -> pb.WriteResponse:
        """Store a WriteRequest."""
        self.acks.append(pb.Ack.Name(request.ack))
        points = [*map(_point, request.points), *(p for columns in request.columns for p in _column_points(columns))]
        duplicate = await self._store(request.idempotency_key, points, context)
        rejected = min(self.rejected_per_request, len(points))
        rejections = [pb.Rejection(point_index=0, reason="time_too_far_ahead", field="points[0]", message="too late")]
        return pb.WriteResponse(
            ack=request.ack or pb.ACK_COMMITTED,
            accepted_points=len(points) - rejected,
            rejected_points=rejected,
            rejections=rejections if rejected and not duplicate else [],
            duplicate=duplicate,
        )

    async def log_metric(self, request: pb.LogMetricsRequest, context: Any) -> pb.LogMetricsResponse:
        """Store a LogMetricsRequest."""
        metadata = dict(context.invocation_metadata())
        self.acks.append(str(metadata.get("x-ack", "")))
        labels = tuple((label.name, label.value) for label in request.labels)
        time_ns = request.timestamp.seconds * 10**9 + request.timestamp.nanos
        point = StoredPoint(request.service_name, request.metric_name, labels, time_ns, request.double_value)
        await self._store(uuid.UUID(str(metadata["x-idempotency-key"])).bytes, [point], context)
        return pb.LogMetricsResponse(success=True)

    async def _store(self, key: bytes, points: list[StoredPoint], context: Any) -> bool:
        self.attempts.append(key)
        self._attempted.set()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.clock_ms is not None:
                await self._check_key(key, self.clock_ms(), context)
            fault = self.faults.popleft() if self.faults else self.always
            duplicate = key in self.stored
            if fault is None or fault.stored:
                self.stored.setdefault(key, points)
            if fault is not None:
                await _fail(fault, context)
            return duplicate
        finally:
            self.in_flight -= 1

    async def _check_key(self, key: bytes, now_ms: int, context: Any) -> None:
        minted_ms = int.from_bytes(key[:6], "big")
        told = {"server_unix_ms": str(now_ms)} if self.tells_time else {}
        if minted_ms > now_ms + KEY_AHEAD_MS:
            await _refuse(context, Code.INVALID_ARGUMENT, [_info("IDEMPOTENCY_KEY_AHEAD", told)])
        if minted_ms < now_ms - WINDOW_MS and key not in self.stored:
            await _refuse(context, Code.FAILED_PRECONDITION, [_info("IDEMPOTENCY_KEY_EXPIRED", told)])


async def _fail(fault: Fault, context: Any) -> None:
    if fault.hangs:
        await asyncio.Event().wait()
    details: list[Message] = []
    if fault.retry_after_s is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(fault.retry_after_s)))
    if fault.reason:
        details.append(_info(fault.reason, {}))
    await _refuse(context, fault.code, details)


async def _refuse(context: Any, code: grpc.StatusCode, details: list[Message]) -> None:
    status = status_pb2.Status(code=code.value[0], message="as told")
    for detail in details:
        status.details.add().Pack(detail)
    if details:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, "as told")


def _info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="analytics-ingestor.io", metadata=metadata)


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def _point(point: pb.Point) -> StoredPoint:
    labels = tuple((label.name, label.value) for label in point.labels)
    return StoredPoint(point.service_name, point.metric_name, labels, point.time_unix_nano, point.double_value)


def _column_points(columns: pb.Columns) -> list[StoredPoint]:
    identities = [
        (series.service_name, series.metric_name, tuple((label.name, label.value) for label in series.labels))
        for series in columns.series
    ]
    rows = zip(columns.series_index, columns.time_unix_nano, columns.value, strict=True)
    return [StoredPoint(*identities[index], time_ns, value) for index, time_ns, value in rows]


@asynccontextmanager
async def run_fake_ingestor() -> AsyncIterator[FakeIngestor]:
    """Serve on a free port of the loopback address; ``target`` of what is yielded says which."""
    fake = FakeIngestor()
    server = grpc.aio.server()
    handlers = {
        "Write": grpc.unary_unary_rpc_method_handler(
            fake.write, pb.WriteRequest.FromString, pb.WriteResponse.SerializeToString
        ),
        "LogMetric": grpc.unary_unary_rpc_method_handler(
            fake.log_metric, pb.LogMetricsRequest.FromString, pb.LogMetricsResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)
