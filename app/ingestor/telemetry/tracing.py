"""OpenTelemetry's SDK: who records spans, where they go, and how that ends. No global state.

Where spans go and how many calls are recorded are settings. The SDK reads the other ``OTEL_*`` variables of the
exporter and the resource by itself, as its users expect.
"""

import asyncio
import random
import threading
from collections.abc import Callable
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.grpc.exporter import InvalidCompressionValueException
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import SpanContext, Tracer
from prometheus_client import Counter

from ingestor.errors import ConfigurationError, words_of
from ingestor.telemetry.span_queue import CountingExporter, SpanQueue

SHUTDOWN_TIMEOUT_S = 2.0
"""Longest time for the last spans to leave; then the connection is cut, which ends what still waits."""
_CUT_TIMEOUT_S = 0.5
_DISTRIBUTION = "analytics-ingestor"


class HeadSampling:
    """Decides whether a call is recorded: as its caller decided, else by lot.

    Decided before anything is made, so a call that is not recorded costs no objects. Whatever is started is recorded:
    a flush has no parent, and is started only where a request of it is.
    """

    def __init__(self, ratio: float, draw: Callable[[], float] = random.random) -> None:
        self._ratio = ratio
        self._draw = draw

    def takes(self, parent: SpanContext | None) -> bool:
        """Tell whether a call with this caller is recorded; None is a call that starts a trace."""
        return self._draw() < self._ratio if parent is None else parent.trace_flags.sampled


class Tracing:
    """The provider of one process, from its first span to the last one's delivery."""

    def __init__(self, exporter: SpanExporter, dropped: Counter, *, instance: str, sample_ratio: float) -> None:
        self._exporter = CountingExporter(exporter, dropped)
        # Not at exit of the interpreter: that would wait for half a minute where nobody takes the spans.
        self._provider = TracerProvider(DEFAULT_ON, _resource(instance), shutdown_on_exit=False)
        self._provider.add_span_processor(SpanQueue(self._exporter, dropped))
        self.sampling = HeadSampling(sample_ratio)
        self.tracer: Tracer = self._provider.get_tracer("ingestor", version(_DISTRIBUTION))

    def add_processor(self, processor: SpanProcessor) -> None:
        """Show every span to one more processor."""
        self._provider.add_span_processor(processor)

    async def close(self) -> None:
        """Send what waits, for ``SHUTDOWN_TIMEOUT_S`` at most."""
        sent = threading.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            sent.set()

        threading.Thread(target=shut_down, name="tracing-shutdown", daemon=True).start()
        if not await asyncio.to_thread(sent.wait, SHUTDOWN_TIMEOUT_S):
            self._exporter.shutdown()
            await asyncio.to_thread(sent.wait, _CUT_TIMEOUT_S)


def make_exporter(endpoint: str) -> SpanExporter:
    """Return an exporter that sends to ``endpoint`` with OTLP over gRPC.

    Raises:
        ConfigurationError: one of the exporter's own variables is wrong.
    """
    try:
        return OTLPSpanExporter(endpoint)
    except (ValueError, RuntimeError, InvalidCompressionValueException) as error:
        raise ConfigurationError(f"wrong settings: an OTEL_EXPORTER_OTLP_* variable: {words_of(error)}") from error


def _resource(instance: str) -> Resource:
    """Return who records; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    ours = {
        "service.name": _DISTRIBUTION,
        "service.version": version(_DISTRIBUTION),
        "service.instance.id": instance,
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())
