"""``analytics.v1.AnalyticsService``: raw bytes in, an encoded reply or a status out."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import grpc

from analytics.v1 import ingestor_pb2
from ingestor.api.calls import Calls, CallSpan
from ingestor.api.reception import Context, Reception
from ingestor.api.status import Refusal, refusal, refuse, status_code
from ingestor.api.wish import read_wish
from ingestor.errors import IngestorError, TransientError
from ingestor.pipeline.ingest import Answer, Ingest, Wish
from ingestor.points import Ack
from ingestor.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

SERVICE = "analytics.v1.AnalyticsService"

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
Take: TypeAlias = Callable[[bytes, Wish], Awaitable[Answer]]
_SUCCESS = ingestor_pb2.LogMetricsResponse(success=True).SerializeToString()
_NOTHING = b""
_ACK_NAMES = {Ack.COMMITTED: "committed", Ack.BUFFERED: "buffered"}


class AnalyticsService:
    """The two methods as raw-bytes handlers: decoding is the pipeline's, and a constant reply is encoded once."""

    def __init__(
        self,
        ingest: Ingest,
        reception: Reception,
        metrics: Metrics,
        drain_s: Callable[[], float],
        calls: Calls | None = None,
    ) -> None:
        self._ingest = ingest
        self._reception = reception
        self._metrics = metrics
        self._answered = {method: metrics.requests.labels(method, "OK", "") for method in ("LogMetric", "Write")}
        self._ack_seconds = {ack: metrics.ack_seconds.labels(name) for ack, name in _ACK_NAMES.items()}
        self._drain_s = drain_s
        self._calls = calls

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """Return the service for ``add_generic_rpc_handlers``: registered methods cost the accept loop per call."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "LogMetric": grpc.stream_unary_rpc_method_handler(self._log_metric),
                "Write": grpc.stream_unary_rpc_method_handler(self._write),
            },
        )

    async def _log_metric(self, _: object, context: Context) -> bytes:
        answer = await self._call("LogMetric", self._ingest.log_metric, context)
        return _SUCCESS if answer else _NOTHING

    async def _write(self, _: object, context: Context) -> bytes:
        answer = await self._call("Write", self._ingest.write, context)
        return _encode(answer) if answer else _NOTHING

    async def _call(self, method: str, take: Take, context: Context) -> Answer | None:
        """Return the answer, None where the call was given another status than OK."""
        metadata = context.invocation_metadata() or ()
        call = None if self._calls is None else self._calls.start(method, metadata)
        if call is None:
            return await self._take(method, take, metadata, context, None)
        with call.current():
            return await self._take(method, take, metadata, context, call)

    async def _take(
        self, method: str, take: Take, metadata: Metadata, context: Context, call: CallSpan | None
    ) -> Answer | None:
        started = time.perf_counter()
        try:
            wish = read_wish(metadata, call.span if call else None)
            self._ingest.check_open()
            to_the_end = method == "Write" or self._ingest.awaits_commit(wish)
            # In one expression, so that nothing here keeps the message while its points wait.
            answer = await take(await self._reception.receive(context, to_the_end=to_the_end), wish)
        except IngestorError as error:
            told = self._refusal(method, error, call)
        except asyncio.CancelledError:
            self._metrics.requests.labels(method, grpc.StatusCode.CANCELLED.name, "cancelled").inc()
            raise
        except Exception:
            logger.exception("a call failed by a fault of ours", extra={"method": method})
            told = self._failure(method, call)
        else:
            self._answered[method].inc()
            self._ack_seconds[answer.ack].observe(time.perf_counter() - started)
            if call is not None:
                ack = _ACK_NAMES[answer.ack]
                call.answer(accepted=answer.accepted, rejected=answer.rejected, ack=ack, duplicate=answer.duplicate)
            return answer
        await refuse(context, told)
        return None

    def _failure(self, method: str, call: CallSpan | None) -> Refusal:
        self._metrics.requests.labels(method, grpc.StatusCode.INTERNAL.name, "bug").inc()
        if call is not None:
            call.end(grpc.StatusCode.INTERNAL, "bug")
        return Refusal(grpc.StatusCode.INTERNAL, "a fault of the server's; it is logged there", ())

    def _refusal(self, method: str, error: IngestorError, call: CallSpan | None) -> Refusal:
        reason = str(getattr(error, "reason", "unknown"))
        if call is not None:
            call.end(status_code(error), reason)
        self._metrics.requests.labels(method, status_code(error).name, reason).inc()
        if isinstance(error, TransientError):
            self._metrics.refused.labels(reason).inc()
        return refusal(error, self._drain_s())


def _encode(answer: Answer) -> bytes:
    response = ingestor_pb2.WriteResponse(
        ack=ingestor_pb2.Ack.Name(answer.ack),
        accepted_points=answer.accepted,
        rejected_points=answer.rejected,
        duplicate=answer.duplicate,
    )
    for reject in answer.rejections:
        response.rejections.add(
            point_index=reject.index, reason=reject.reason, field=reject.field, message=reject.message
        )
    return response.SerializeToString()
