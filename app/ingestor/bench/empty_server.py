"""A gRPC server that answers ``LogMetric`` at once and does nothing else: what single calls cost at the least.

``python -m ingestor.bench.empty_server`` prints its port and runs until its standard input ends.
"""

import asyncio
import sys

import grpc
import uvloop

from analytics.v1 import ingestor_pb2 as pb
from ingestor.api.analytics import SERVICE

_REPLY = pb.LogMetricsResponse(success=True).SerializeToString()


async def _log_metric(_request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    return _REPLY


async def _serve() -> None:
    server = grpc.aio.server()
    methods = {"LogMetric": grpc.unary_unary_rpc_method_handler(_log_metric)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_serve())
