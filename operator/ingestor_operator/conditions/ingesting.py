"""Judge what the pods say of themselves: do commits flow?"""

from dataclasses import dataclass
from typing import Any

from ingestor_operator.conditions.verdict import Verdict, failed, ok, unknown

STALLED_S = 30.0
"""Points that wait longer than this are not on their way: a commit is given up after 20 s by default."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What one ready pod answered at ``/status``; ``status`` is None where it did not answer."""

    pod: str
    status: dict[str, Any] | None


def judge_ingesting(reports: list[PodReport], desired: int) -> Verdict:
    """Return whether points that arrive are committed."""
    if not reports:
        text = "no pods are asked for" if desired == 0 else "no pod is ready to be asked; see Progressing"
        return unknown("NoPods", text)
    answered = [report for report in reports if report.status is not None]
    if not answered:
        return unknown("StatusUnreachable", "no pod answers at /status; does a NetworkPolicy keep the operator out?")
    for report in answered:
        trouble = _trouble(report.pod, report.status or {})
        if trouble is not None:
            return trouble
    return ok("CommitsFlow", "pods are connected to the database; what arrives is committed")


def _trouble(pod: str, status: dict[str, Any]) -> Verdict | None:
    error = status.get("last_error") or "not connected yet"
    if status.get("refusing"):
        return failed("Refusing", f"pod {pod} refuses points ({status['refusing']}): {error}")
    if not status.get("database_up"):
        return failed("DatabaseAway", f"pod {pod} can't write: {error}")
    if refusal := status.get("refused_by_database"):
        text = "the database refuses every point that arrives, and what it refuses is in the table rejects"
        return failed("PointsRefused", f"pod {pod}: {text}: {refusal}")
    held_s = status.get("oldest_held_seconds") or 0
    if status.get("held") and held_s > STALLED_S:
        return failed("CommitsStalled", f"pod {pod} holds points for more than {STALLED_S:.0f} s: {error}")
    return None
