"""What the kubelet and Prometheus get."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from ingestor_operator.errors import ConfigurationError
from ingestor_operator.http import HttpServer
from ingestor_operator.metrics import ConditionsCollector, Metrics

LOOPBACK = "127.0.0.1"


class Site:
    """A server on a free port; ``faults`` is what is wrong."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.ready = False
        registry = CollectorRegistry()
        self.metrics = Metrics(registry)
        registry.register(ConditionsCollector(lambda: self.ingestors))
        self.ingestors: list[dict[str, object]] = []
        self.server = HttpServer(LOOPBACK, 0, registry, lambda: self.faults, lambda: self.ready)

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an answer."""
        url = f"http://{LOOPBACK}:{self.server.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start()
    yield site
    await site.server.stop()


async def test_healthz_says_what_is_wrong(site: Site) -> None:
    assert await site.get("/healthz") == (200, "ok\n")
    site.faults = ["one thing", "and another"]
    assert await site.get("/healthz") == (503, "one thing; and another\n")
    site.faults = []
    assert (await site.get("/healthz"))[0] == 200


async def test_it_is_ready_once_ingestors_were_seen(site: Site) -> None:
    status, text = await site.get("/readyz")
    assert (status, "CRD" in text) == (503, True)
    site.ready = True
    assert await site.get("/readyz") == (200, "ready\n")


async def test_metrics_show_what_is_counted_and_each_condition(site: Site) -> None:
    site.metrics.writes.labels("Deployment", "apply").inc()
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Ready"},
        {"type": "Available", "status": "False", "reason": "NoPodAvailable"},
        {"type": "Ingesting", "status": "Unknown", "reason": "NoPods"},
    ]
    site.ingestors = [
        {"metadata": {"namespace": "team", "name": "metrics"}, "status": {"conditions": conditions}},
        {"metadata": {"namespace": "team", "name": "new"}},
    ]
    status, text = await site.get("/metrics")
    assert status == 200
    assert 'ingestor_operator_writes_total{kind="Deployment",verb="apply"} 1.0' in text
    labels = 'ingestor_operator_condition{{condition="{}",ingestor="metrics",namespace="team",reason="{}"}} {}'
    for name, reason, value in (
        ("Ready", "Ready", 1.0),
        ("Available", "NoPodAvailable", 0.0),
        ("Ingesting", "NoPods", -1.0),
    ):
        assert labels.format(name, reason, value) in text


async def test_a_port_that_is_taken_is_an_error_that_says_what_to_set(site: Site) -> None:
    second = HttpServer(LOOPBACK, site.server.port, CollectorRegistry(), list, bool)
    with pytest.raises(ConfigurationError, match="INGESTOR_OPERATOR_HTTP_PORT"):
        await second.start()
    await second.stop()
