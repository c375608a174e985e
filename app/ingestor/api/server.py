"""The gRPC server: options, health, reflection, start and stop."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from analytics.v1 import ingestor_pb2  # noqa: F401 - reflection serves its descriptors
from ingestor.api.analytics import SERVICE, AnalyticsService
from ingestor.config import Settings
from ingestor.errors import ConfigurationError
from ingestor.listening import find_addresses, host_port

DATABASE = "database"
"""Name under which ``grpc.health.v1`` answers for the database; no probe should depend on it."""

WINDOW_BYTES = 288 * 1024
"""Bytes of a stream that gRPC takes before its message is asked for; 10,000 points of 1,000 series take 270 kB."""

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcServer:
    """Listens, answers health and reflection, and stops in order."""

    def __init__(self, settings: Settings, service: AnalyticsService) -> None:
        self._settings = settings
        self._health = HealthServicer()
        self._server = grpc.aio.server(options=_options(settings))
        self._server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.reflection:
            reflection.enable_server_reflection((SERVICE, _HEALTH, reflection.SERVICE_NAME), self._server)
        self.port = 0

    async def start(self) -> None:
        """Listen and report serving.

        Raises:
            ConfigurationError: it can't; the text says why.
        """
        wanted = self._settings.grpc_port
        for host in find_addresses(self._settings.grpc_host, wanted, "INGESTOR_GRPC"):
            address = host_port(host, self.port or wanted)
            try:
                self.port = self._server.add_insecure_port(address)
            except RuntimeError as error:
                text = f"can't listen on {address}: another process took the port just now; try again"
                raise ConfigurationError(text) from error
        await self._server.start()
        await self.report_database(up=False)
        await self._set_health(_SERVING)

    async def report_stopping(self) -> None:
        """Tell health checks that new calls go elsewhere; calls are still answered."""
        await self._set_health(_NOT_SERVING)

    async def report_database(self, *, up: bool) -> None:
        """Tell health checks of the name ``database`` whether it takes commits."""
        await self._health.set(DATABASE, _SERVING if up else _NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Close the listener, let calls in flight end for ``grace_s`` seconds, then cancel them."""
        await self._server.stop(grace_s)

    async def _set_health(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in ("", SERVICE, _HEALTH):
            await self._health.set(name, status)


def _options(settings: Settings) -> list[tuple[str, int]]:
    """Return the channel arguments; each bounds memory, frees dead peers, or spreads load."""
    return [
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_send_message_length", settings.message_bytes),
        ("grpc.max_concurrent_streams", settings.streams_per_connection),
        # With it on, streams a client opens before the server has forgotten its last ones are reset: nine calls in ten
        # of a busy client failed (measured); clients keep to the limit by themselves.
        ("grpc.http.overload_protection", 0),
        # A stream that is not being read holds no more than its window: probing would widen it to megabytes, and the
        # default of 64 KiB costs messages of 100 kB a tenth of their rate (measured).
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        ("grpc.max_connection_age_ms", int(settings.connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", 30_000),
        ("grpc.max_connection_idle_ms", 900_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients may ping every 30 s; grpc's own default of 300 s would end their connections.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_metadata_size", 16 * 1024),
        # A second process on the port must fail, not silently take half of the connections.
        ("grpc.so_reuseport", 0),
    ]
