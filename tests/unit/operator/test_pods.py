"""Asking pods how they are: only those that are ready, and none for long."""

import os
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ingestor_operator.conditions.ingesting import PodReport
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.pods import MOST_ASKED, PodWatcher
from ingestor_operator.resource.delivery import HTTP_PORT

LOOPBACK = str(ip_address("127.1.0.0") + os.getpid())
"""An address of this process's own, for the port of pods is fixed and may be taken on others."""


def pod(name: str = "a", address: str = LOOPBACK, *, ready: str = "True", deleting: bool = False) -> Manifest:
    """Return a pod."""
    metadata = {"name": name} | ({"deletionTimestamp": "now"} if deleting else {})
    return {"metadata": metadata, "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]}}


class Pods:
    """Pods at one address, that answer ``answer``."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"text": '{"held": 0}', "content_type": "application/json"}
        self.asked = 0

    async def status(self, _: web.Request) -> web.Response:
        """Answer."""
        self.asked += 1
        return web.Response(**self.answer)


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    found = Pods()
    app = web.Application()
    app.add_routes([web.get("/status", found.status)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, HTTP_PORT).start()
    yield found
    await runner.cleanup()


async def ask(*manifests: Manifest) -> list[PodReport]:
    """Ask pods."""
    async with aiohttp.ClientSession() as session:
        return await PodWatcher(session).ask(list(manifests))


async def test_ready_pods_are_asked_and_others_are_not(pods: Pods) -> None:
    found = await ask(
        pod("a"), pod("b", ready="False"), pod("c", deleting=True), pod("d", address=""), {"metadata": {"name": "e"}}
    )
    assert found == [PodReport("a", {"held": 0})]
    assert pods.asked == 1


@pytest.mark.parametrize(
    "answer",
    [{"text": "no json"}, {"text": "[1]", "content_type": "application/json"}, {"status": 500}, {"body": b"\xff{"}],
)
async def test_an_answer_that_is_none_is_no_status(pods: Pods, answer: dict[str, Any]) -> None:
    pods.answer = answer
    assert await ask(pod()) == [PodReport("a", None)]


async def test_a_pod_that_does_not_answer_has_no_status() -> None:
    assert await ask(pod(address="127.0.0.80")) == [PodReport("a", None)]


async def test_a_few_of_many_are_asked(pods: Pods) -> None:
    found = await ask(*(pod(f"p{number}") for number in range(MOST_ASKED + 5)))
    assert [report.status for report in found] == [{"held": 0}] * MOST_ASKED
