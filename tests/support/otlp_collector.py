"""An OTLP receiver over gRPC that keeps what it is sent, as a trace collector would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service_pb
from opentelemetry.proto.trace.v1 import trace_pb2

Span = trace_pb2.Span


@dataclass(slots=True)
class OtlpCollector:
    """What arrived: the resource of the last export, every span, and the metadata that came with them."""

    port: int = 0
    resource: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Return what a client is told."""
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Span]:
        """Return the spans with this name, in the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)

    def children(self, parent: Span) -> list[Span]:
        """Return the spans below one, in the order in which they began."""
        below = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(below, key=lambda span: span.start_time_unix_nano)

    async def export(self, message: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        """Keep one export."""
        self.metadata = {name: str(value) for name, value in context.invocation_metadata() or ()}
        for of_resource in service_pb.ExportTraceServiceRequest.FromString(message).resource_spans:
            self.resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans
        return service_pb.ExportTraceServiceResponse().SerializeToString()


def attributes_of(span: Span) -> dict[str, object]:
    """Return the attributes of a span as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}


@asynccontextmanager
async def otlp_collector() -> AsyncIterator[OtlpCollector]:
    """Run a collector on a free port of the loopback address."""
    collector = OtlpCollector()
    method = grpc.unary_unary_rpc_method_handler(collector.export)
    handlers = {"Export": method}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("opentelemetry.proto.collector.trace.v1.TraceService", handlers),)
    )
    collector.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector
    finally:
        await asyncio.wait_for(server.stop(0), 5)
