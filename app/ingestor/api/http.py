"""HTTP beside gRPC: ``/metrics`` for Prometheus, ``/livez`` and ``/readyz`` for the kubelet, ``/status`` for people."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ingestor.listening import listen

Status = dict[str, object]


class HttpServer:
    """The endpoints and their listener."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        ready: Callable[[], bool],
        status: Callable[[], Status],
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._registry = registry
        self._ready = ready
        self._status = status
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/status", self._show_status),
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
        for listener in listen(self._host, self._wanted_port, "INGESTOR_HTTP"):
            await web.SockSite(self._runner, listener).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        # On the event loop on purpose: nothing else runs meanwhile, so the counters add up in every scrape.
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        """Serving and not draining; not tied to the database, which all pods share."""
        return web.Response(text="ready\n") if self._ready() else web.Response(text="not ready\n", status=503)

    async def _show_status(self, _: web.Request) -> web.Response:
        return web.json_response(self._status())
