"""A gRPC server that answers at once and does nothing: what single calls cost at the least, and where spans may go.

``python -m ingestor.bench.empty_server`` prints its port and runs until its standard input ends. It takes
``LogMetric``, and OTLP's ``Export`` of traces.
"""

import asyncio
import sys

import grpc
import uvloop

from analytics.v1 import ingestor_pb2 as pb
from ingestor.api.analytics import SERVICE

_COLLECTOR = "opentelemetry.proto.collector.trace.v1.TraceService"
_LOGGED = pb.LogMetricsResponse(success=True).SerializeToString()


async def _log_metric(_request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    return _LOGGED


async def _export(_request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    return b""  # an empty ExportTraceServiceResponse: all are taken


async def _serve() -> None:
    server = grpc.aio.server()
    for service, name, handler in ((SERVICE, "LogMetric", _log_metric), (_COLLECTOR, "Export", _export)):
        methods = {name: grpc.unary_unary_rpc_method_handler(handler)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_serve())
