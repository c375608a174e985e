"""What the operators of all other modules asked of the API server is what the chart's Role allows: no more, no less.

Runs last. Which calls were made comes from the API server's audit log, ``E2E_AUDIT_LOG``.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from support.helm import Helm, find_helm, only

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(120)]

Call = tuple[str, str, str]
"""API group, resource with subresource, verb."""


def test_the_operators_calls_are_what_the_role_allows(run: str) -> None:
    account = re.compile(rf"system:serviceaccount:e2e-[a-z-]+-{run}:")
    entries = [
        entry for entry in read_log() if account.match(entry["user"].get("username", "")) and "objectRef" in entry
    ]
    refused = [entry["objectRef"] for entry in entries if is_forbidden(entry)]
    assert not refused, "the Role lacks a right"
    made = {call for entry in entries for call in calls(entry)}
    allowed = allowed_calls()
    assert made - allowed == set(), "asked for more than the Role allows"
    assert allowed - made == set(), "the Role allows what the suite never needed"


def read_log() -> list[dict[str, Any]]:
    """Return the API server's audit log; its last line may still be being written."""
    with Path(os.environ["E2E_AUDIT_LOG"]).open() as log:
        return [json.loads(line) for line in log if line.endswith("\n")]


def calls(entry: dict[str, Any]) -> set[Call]:
    """Return the rights that a request used; a patch that made its object used the right to create as well."""
    reference = entry["objectRef"]
    resource = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
    verbs = {entry["verb"]} | ({"create"} if entry["responseStatus"]["code"] == 201 else set())
    return {(reference.get("apiGroup", ""), resource, verb) for verb in verbs}


def is_forbidden(entry: dict[str, Any]) -> bool:
    """Tell whether the Role lacks what a request needs; quotas and namespaces that end refuse with the same status."""
    return bool(entry["annotations"].get("authorization.k8s.io/decision") == "forbid")


def allowed_calls() -> set[Call]:
    """Return what the Role of a release for one namespace allows."""
    values = {"scope": "Namespace", "podMonitors": {"enabled": True}}
    role = only(Helm(find_helm()).render(values), "Role", "ingestor-analytics-ingestor")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
