"""When the operator must be restarted: work stands still, or its watch is blind while the API server answers."""

from collections.abc import Iterable

from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.queue import Key, WorkQueue

STUCK_S = 180.0
"""Longer than a pass takes (150 s, save for deletions), and long enough for a worker to come free."""


class WatchProof:
    """Compares what the watch delivers with what a listing shows: a watch that lags two listings behind is blind.

    kopf's watch is blind for ever, while everything looks healthy, when the kind was not there as it started.
    """

    def __init__(self) -> None:
        self._delivered: dict[Key, str] = {}
        self._missed: dict[Key, str] = {}
        self.blind = False

    def delivered(self, key: Key, version: str) -> None:
        """Note a version that the watch brought."""
        self._delivered[key] = version

    def listed(self, bodies: Iterable[Manifest]) -> None:
        """Compare with a complete listing; call once a resync."""
        current = {
            (body["metadata"]["namespace"], body["metadata"]["name"]): body["metadata"]["resourceVersion"]
            for body in bodies
        }
        missed = {key: version for key, version in current.items() if self._delivered.get(key) != version}
        self.blind = any(self._missed.get(key) == version for key, version in missed.items())
        self._missed = missed
        self._delivered = {key: version for key, version in self._delivered.items() if key in current}


def find_faults(queue: WorkQueue, proof: WatchProof) -> list[str]:
    """Return what is wrong, in words; the API server or a database being away is not."""
    faults = []
    if queue.oldest_wait_s > STUCK_S:
        faults.append(f"work has been due for {queue.oldest_wait_s:.0f} s and nobody takes it")
    if proof.blind:
        faults.append("the watch does not deliver what a listing shows")
    return faults
