"""An OTLP collector that takes spans and forgets them: ``python -m ingestor.bench.collector`` prints its port.

It runs until its standard input ends.
"""

import asyncio
import sys

import grpc
import uvloop

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


async def _export(_request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    return b""  # an empty ExportTraceServiceResponse: all are taken


async def _serve() -> None:
    server = grpc.aio.server()
    methods = {"Export": grpc.unary_unary_rpc_method_handler(_export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_serve())
