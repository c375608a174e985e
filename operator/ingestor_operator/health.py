"""When the operator must be restarted: work stands still, or its watch is blind while the API server answers."""

from collections.abc import Iterable

from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.queue import Key, WorkQueue

STUCK_S = 720.0
"""Longer than any pass takes, a drop among them (660 s): all workers may be waiting for databases."""


FIRST_LIST_S = 60.0
"""Time in which an operator that starts must have seen its kind."""


class WatchProof:
    """Compares what the watch delivers with what a listing shows: a watch that lags two listings behind is blind.

    kopf's watch is blind for ever, while everything looks healthy, when the kind was not there as it started.
    """

    def __init__(self) -> None:
        self._delivered: dict[Key, str] = {}
        self._missed: dict[Key, str] = {}
        self._lost: set[Key] = set()
        self._listed = False

    @property
    def blind(self) -> bool:
        """Tell whether the watch lags two listings behind."""
        return bool(self._lost)

    def delivered(self, key: Key, version: str) -> None:
        """Note a version that the watch brought, late as it may be: it sees that object again."""
        self._delivered[key] = version
        self._lost.discard(key)

    @property
    def never_listed(self) -> bool:
        """Tell whether no listing has worked yet: the kind, or the right to see it, is missing."""
        return not self._listed

    def listed(self, bodies: Iterable[Manifest]) -> None:
        """Compare with a complete listing; call once a resync."""
        current = {
            (body["metadata"]["namespace"], body["metadata"]["name"]): body["metadata"]["resourceVersion"]
            for body in bodies
        }
        missed = {key: version for key, version in current.items() if self._delivered.get(key) != version}
        self._listed = True
        self._lost = {key for key, version in missed.items() if self._missed.get(key) == version}
        self._missed = missed
        self._delivered = {key: version for key, version in self._delivered.items() if key in current}


def find_faults(queue: WorkQueue, proof: WatchProof, running_s: float) -> list[str]:
    """Return what is wrong, in words; the API server or a database being away is not."""
    faults = []
    if proof.never_listed and running_s > FIRST_LIST_S:
        faults.append(
            f"Ingestors could not be listed for {running_s:.0f} s: is the CRD there, and the right to list them?"
        )
    if queue.standstill_s > STUCK_S:
        faults.append(f"work is due, and for {queue.standstill_s:.0f} s none was taken or done")
    if proof.blind:
        faults.append("the watch does not deliver what a listing shows")
    return faults
