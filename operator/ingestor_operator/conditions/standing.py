"""Judge the pods against what is asked for: is this generation rolled out, and who serves meanwhile?"""

from dataclasses import dataclass
from typing import Any

from ingestor_operator.conditions.verdict import Verdict, ok, unknown
from ingestor_operator.conditions.workload import judge_available, judge_progress, read_workload, unmade
from ingestor_operator.manifests.facts import Manifest


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pass concludes about the pods; ``numbers`` go into the status."""

    available: Verdict
    progressing: Verdict
    rolled_out: bool
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """The pods as a pass saw them; ``desired`` is the hash of the template that is asked for."""

    deployment: Manifest | None
    pods: list[Manifest]
    desired: str
    waiting: bool
    refused: Verdict | None

    def judge(self, rolled_out_before: str) -> Standing:
        """Return how the pods stand; a template that was rolled out before stays so while somebody serves."""
        if self.deployment is None:
            available, progressing = unmade()
            return Standing(available, self.refused or progressing, rolled_out=False, numbers={"replicas": 0})
        workload = read_workload(self.deployment)
        current = self.waiting or workload.template == self.desired
        complete = current and workload.complete
        serving = workload.template == rolled_out_before and workload.replaced and workload.available > 0
        progressing = judge_progress(workload, self.deployment, self.pods)
        if self.waiting:
            progressing = ok("UpgradeWaiting", "pods are of the operator's previous version until it is their turn")
        elif not current and not self.refused:
            progressing = unknown("Held", "pods stay as they are until DatabaseReachable and SchemaApplied are well")
        numbers: dict[str, Any] = {"replicas": workload.replicas, "readyReplicas": workload.ready}
        if workload.template != rolled_out_before or (complete and not self.waiting):
            numbers["rolledOut"] = workload.template if complete and not self.waiting else None
        return Standing(
            judge_available(workload),
            self.refused or progressing,
            # What is refused is part of this generation: without its Service or its policy it is not there.
            rolled_out=self.refused is None and (complete or (current and serving)),
            numbers=numbers,
        )
