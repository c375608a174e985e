"""Put the conditions together: which is the first that is not well, and when did each change?"""

from collections.abc import Mapping
from typing import Any

from ingestor_operator.conditions.verdict import Verdict, failed, ok, unknown

ORDER = ("DatabaseReachable", "DatabaseCapable", "SchemaApplied", "Progressing", "Available", "Ingesting")
"""Causes before effects: the first that is not well is the reason of Ready."""


_NOT_ASKED = unknown("NotAsked", "the database can't be asked")


def judge_ready(verdicts: Mapping[str, Verdict], *, rolled_out: bool) -> Verdict:
    """Return the summary; ``rolled_out`` says that every pod is of this generation, and enough of them serve."""
    for name in ORDER:
        verdict = verdicts.get(name, _NOT_ASKED)
        if verdict.bad and not (name == "Progressing" and rolled_out):
            return failed(verdict.reason, verdict.message)
    if not rolled_out:
        progress = verdicts["Progressing"]
        return failed(progress.reason, progress.message)
    for name in ("DatabaseReachable", "SchemaApplied"):
        verdict = verdicts[name]
        if not verdict.good:
            return unknown(verdict.reason, verdict.message)
    return ok("Ready", "this generation is rolled out, the schema is as asked for, and no pod reports trouble")


def merge_conditions(
    verdicts: Mapping[str, Verdict], before: list[dict[str, Any]], generation: int, now: str
) -> list[dict[str, Any]]:
    """Return the conditions to write; the time of one changes only with its status."""
    known = {item["type"]: item for item in before}
    return [_condition(name, verdict, known.get(name, {}), generation, now) for name, verdict in verdicts.items()]


def _condition(name: str, verdict: Verdict, before: dict[str, Any], generation: int, now: str) -> dict[str, Any]:
    same = before.get("status") == verdict.status
    return {
        "type": name,
        "status": verdict.status,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if same else now,
        "reason": verdict.reason,
        "message": verdict.message,
    }


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conditions of ``after`` that a person should hear of: another status, or another reason for False."""
    known = {item["type"]: item for item in before}
    return [item for item in after if item["status"] != "Unknown" and _is_news(known.get(item["type"]), item)]


def _is_news(before: dict[str, Any] | None, after: dict[str, Any]) -> bool:
    """Tell of trouble, of its end, and of Ready; a cause that is well from the start is no news."""
    old = before or {"status": "Unknown", "reason": ""}
    if old["status"] == after["status"]:
        return bool(after["status"] == "False" and old["reason"] != after["reason"])
    return bool(after["status"] == "False" or after["type"] == "Ready" or old["status"] == "False")
