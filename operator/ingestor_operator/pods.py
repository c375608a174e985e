"""Ask the pods themselves how they are, at ``/status``."""

import asyncio
import json
from typing import Any

import aiohttp

from ingestor_operator.conditions.ingesting import PodReport
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.resource.delivery import HTTP_PORT

TIMEOUT_S = 2.0
MOST_ASKED = 10
"""Pods of one Ingestor that are asked: all share database, schema and credentials."""


class PodWatcher:
    """Keeps one HTTP session for all questions."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, pods: list[Manifest]) -> list[PodReport]:
        """Return the reports of the pods that are ready; none takes longer than ``TIMEOUT_S``."""
        ready = [pod for pod in pods if _is_ready(pod)][:MOST_ASKED]
        statuses = await asyncio.gather(*(self._status(pod) for pod in ready))
        return [PodReport(pod["metadata"]["name"], status) for pod, status in zip(ready, statuses, strict=True)]

    async def _status(self, pod: Manifest) -> dict[str, Any] | None:
        address = pod["status"]["podIP"]
        host = f"[{address}]" if ":" in address else address
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.get(f"http://{host}:{HTTP_PORT}/status", timeout=timeout) as response:
                body = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        return body if isinstance(body, dict) else None


def _is_ready(pod: Manifest) -> bool:
    status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"] or not status.get("podIP"):
        return False
    return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or [])
