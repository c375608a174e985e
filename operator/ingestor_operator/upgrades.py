"""After an upgrade of the operator, one Ingestor at a time gets the new pods. Pure."""

from ingestor_operator.conditions.workload import Workload, read_workload
from ingestor_operator.manifests.deployment import GENERATION_ANNOTATION, TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.queue import Key


class UpgradeTurns:
    """Who may roll because of a new operator; the others run on as they are."""

    def __init__(self) -> None:
        self._holder: Key | None = None

    def may_roll(self, key: Key, observed: Manifest | None, desired: Manifest) -> bool:
        """Tell whether the pods may be replaced now.

        They may where there are none yet, where their user changed something, and where the turn is free.
        """
        if observed is None or not is_upgrade(observed, desired):
            self._keep_turn(key, observed)
            return True
        if self._holder is None:
            self._holder = key
        return self._holder == key

    def _keep_turn(self, key: Key, observed: Manifest | None) -> None:
        """Take the turn for pods that are being replaced already: an operator before this one may have begun it."""
        if self._holder is None and observed is not None and not read_workload(observed).replaced:
            self._holder = key

    def settle(self, key: Key, workload: Workload, *, failed: bool) -> None:
        """Let go of the turn once its pods are replaced, or will not be: the next one must not wait for ever."""
        if self._holder == key and (workload.complete or failed):
            self._holder = None

    def forget(self, key: Key) -> None:
        """Let go of the turn of an Ingestor that is gone."""
        if self._holder == key:
            self._holder = None


def is_upgrade(observed: Manifest, desired: Manifest) -> bool:
    """Tell whether the pods differ though nothing that a user set has changed."""
    before = observed["metadata"].get("annotations") or {}
    after = desired["metadata"]["annotations"]
    return bool(
        before.get(TEMPLATE_ANNOTATION) != after[TEMPLATE_ANNOTATION]
        and before.get(GENERATION_ANNOTATION) == after[GENERATION_ANNOTATION]
    )
