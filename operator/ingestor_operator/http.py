"""``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for the kubelet."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ingestor.errors import ConfigurationError as ListenError
from ingestor.listening import listen
from ingestor_operator.errors import ConfigurationError


class HttpServer:
    """The endpoints and their listener.

    ``faults`` returns what calls for a restart, empty if nothing; ``ready`` tells whether Ingestors were seen.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        faults: Callable[[], list[str]],
        ready: Callable[[], bool],
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._registry = registry
        self._faults = faults
        self._ready = ready
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: it can't; the text says why.
        """
        await self._runner.setup()
        try:
            listeners = listen(self._host, self._wanted_port, "INGESTOR_OPERATOR_HTTP")
        except ListenError as error:
            raise ConfigurationError(str(error)) from error
        for listener in listeners:
            await web.SockSite(self._runner, listener).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        faults = self._faults()
        return web.Response(text="; ".join(faults) + "\n", status=503) if faults else web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(
            text="Ingestors were not listed yet: is the CRD there, and the right to see it?\n", status=503
        )
