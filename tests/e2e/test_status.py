"""The status tells the truth: faults show with their reason, recovery shows by itself, and Ready never lies."""

import base64
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from support.kube import SMALL, Manifest, Site, ingestor, wait_for
from support.watch import Conditions, Seen, Watch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

logger = logging.getLogger(__name__)

BOUND_S = 30.0
"""Within this a fault shows, and its end."""

MADE = Counter({"SchemaChanged": 1})
"""What is told besides transitions: the schema was made, once for all tests."""

Act = Callable[[Site], Any]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, how it shows, and how its cause goes away."""

    name: str
    cause: Act
    cure: Act
    condition: str
    reason: str
    words: str


def spec(**changes: Any) -> Act:
    """Return an application of the Ingestor with changes; without any it is the healthy one."""
    return lambda site: site.apply(ingestor(**changes))


def scale_database(replicas: int) -> Act:
    """Return a scaling of the example's database."""
    return lambda site: site.kubectl("scale", "statefulset/timescaledb", f"--replicas={replicas}")


def password(secret: str, value: str | None) -> Act:
    """Return a change of a Secret's password; None removes it."""
    encoded = base64.b64encode(value.encode()).decode() if value else None
    change = json.dumps({"data": {"password": encoded}})
    return lambda site: site.kubectl("patch", "secret", secret, "-p", change)


def owner_secret(name: str, **data: str) -> Manifest:
    """Return a Secret of the owner under another name."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def make_bare_database(site: Site) -> None:
    """Make a database without TimescaleDB and move the Ingestor there."""
    site.sql("CREATE DATABASE bare TEMPLATE template0")
    spec(database={"name": "bare"})(site)


def exceed_quota(site: Site) -> None:
    """Forbid more pods than there are, and ask for another one by a change of a setting."""
    site.apply(quota())
    spec(observability={"logLevel": "WARNING"})(site)


def quota() -> Manifest:
    """Return a quota that lets no pod be made."""
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "1"}}}


def refer_to_half_a_secret(site: Site) -> None:
    """Refer to a Secret that has a user name alone."""
    site.apply(owner_secret("half-owner", username="analytics_owner"))
    spec(database={"ownerSecretRef": {"name": "half-owner"}})(site)


FAULTS = [
    Fault(
        "the database is down",
        scale_database(0), scale_database(1),
        "DatabaseReachable", "DatabaseUnavailable", "cannot be reached",
    ),
    Fault(
        "the owner's password is wrong",
        password("timescaledb-owner", "wrong"), password("timescaledb-owner", "trying-owner"),
        "DatabaseReachable", "AuthenticationFailed", "check user, password",
    ),
    Fault(
        "the writer's password is wrong",
        password("timescaledb-writer", "wrong"), password("timescaledb-writer", "trying-writer"),
        "DatabaseReachable", "AuthenticationFailed", "the writer's Secret",
    ),
    Fault(
        "the host is wrong",
        spec(database={"host": "nowhere"}), spec(),
        "DatabaseReachable", "DatabaseUnavailable", "no such host; check host",
    ),
    Fault(
        "the database is missing",
        spec(database={"name": "missing"}), spec(),
        "DatabaseReachable", "DatabaseMissing", "create it",
    ),
    Fault(
        "the extension is missing",
        make_bare_database, spec(),
        "SchemaApplied", "ExtensionMissing", "CREATE EXTENSION timescaledb",
    ),
    Fault(
        "the image cannot be pulled",
        spec(image="localhost/nowhere:1"), spec(),
        "Progressing", "ImagePullFailed", "correct spec.image",
    ),
    Fault(
        "the image holds something else",
        spec(image="localhost/pause:1"), spec(),
        "Progressing", "CrashLooping", "ingestor",
    ),
    Fault(
        "the memory does not suffice",
        spec(pod={"resources": {"requests": {"cpu": "50m", "memory": "20Mi"}, "limits": {"memory": "20Mi"}}}), spec(),
        "Progressing", "CrashLooping", "raise spec.pod.resources.limits.memory",
    ),
    Fault(
        "the quota is exceeded",
        exceed_quota, lambda site: site.kubectl("delete", "resourcequota/none"),
        "Progressing", "QuotaExceeded", "raise the quota",
    ),
    Fault(
        "a Secret is missing",
        spec(database={"ownerSecretRef": {"name": "late-owner"}}),
        lambda site: site.apply(owner_secret("late-owner", username="analytics_owner", password="trying-owner")),
        "DatabaseReachable", "SecretNotFound", "there is no Secret late-owner; create it",
    ),
    Fault(
        "a Secret has no password",
        refer_to_half_a_secret, password("half-owner", "trying-owner"),
        "DatabaseReachable", "SecretInvalid", "has no password; add it",
    ),
    Fault(
        "there are too few connections",
        spec(database={"maxConnections": 4}), spec(),
        "Progressing", "TooFewConnections", "raise it",
    ),
    Fault(
        "no node fits",
        spec(pod={"resources": SMALL, "nodeSelector": {"disk": "of-gold"}}), spec(),
        "Progressing", "Unschedulable", "node",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def watch(site: Site) -> Iterator[Watch]:
    """Record everything from before the first Ingestor on."""
    with Watch(site) as watch:
        yield watch


@pytest.fixture
def healthy(site: Site, watch: Watch) -> Site:
    """Return the namespace with one Ingestor that is Ready, whatever the test before left."""
    site.apply(ingestor())
    site.wait_ready()
    wait_for(partial(serve, site, 1), 60, lambda: f"other pods stay: {serving(site)}")
    return site


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_shows_with_its_reason_and_its_end_shows_by_itself(healthy: Site, fault: Fault) -> None:
    pods, started = serving(healthy), time.monotonic()
    fault.cause(healthy)
    try:
        wait_for(lambda: shows(healthy, fault), BOUND_S, lambda: f"{fault.name}: {healthy.conditions()}")
        assert pods <= serving(healthy), "pods that serve must not go for a change that fails"
        shown = time.monotonic()
    finally:
        fault.cure(healthy)
    healthy.wait_ready(timeout_s=BOUND_S)
    logger.info("%s: %.1f s to show, %.1f s to recover", fault.name, shown - started, time.monotonic() - shown)


def test_kubectl_wait_straight_after_apply_returns_when_the_change_is_rolled_out(healthy: Site) -> None:
    healthy.apply(ingestor(observability={"logLevel": "DEBUG"}))
    healthy.wait_ready(timeout_s=60)
    pods = healthy.list("pods", "app.kubernetes.io/component=ingest")
    levels = {level_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    assert levels == {"DEBUG"}


def test_scaling_alone_never_turns_ready_false(healthy: Site, watch: Watch) -> None:
    started = time.monotonic()
    for replicas in (3, 1):
        healthy.kubectl("scale", "igst/metrics", f"--replicas={replicas}")
        wait_for(partial(serve, healthy, replicas), 60, lambda: str(healthy.conditions()))
        healthy.wait_condition("Progressing", "RolledOut", "True", timeout_s=60)
    readiness = [item.conditions["Ready"] for item in watch.versions(since_s=started)]
    assert readiness
    assert [f"{item['status']}: {item['message']}" for item in readiness if item["status"] != "True"] == []


def test_a_quota_that_stops_scaling_shows_while_ready_stays_true(healthy: Site) -> None:
    healthy.apply(quota())
    healthy.kubectl("scale", "igst/metrics", "--replicas=2")
    healthy.wait_condition("Progressing", "QuotaExceeded", timeout_s=BOUND_S)
    assert healthy.conditions()["Ready"]["status"] == "True", "one pod serves, and it is of this generation"
    healthy.kubectl("delete", "resourcequota/none")
    healthy.kubectl("scale", "igst/metrics", "--replicas=1")
    healthy.wait_condition("Progressing", "RolledOut", "True", timeout_s=BOUND_S)


def test_ready_is_never_true_for_a_generation_that_is_not_rolled_out(healthy: Site, watch: Watch) -> None:
    """Looks at every version that the API server had during all tests of this module, and first adds a few."""
    images = healthy.images
    healthy.apply(ingestor(image=images.next))
    healthy.wait_ready(timeout_s=60)
    healthy.apply(ingestor(image="localhost/nowhere:2"))
    healthy.wait_condition("Progressing", "ImagePullFailed")
    healthy.apply(ingestor(image=images.next, observability={"logLevel": "ERROR"}))
    healthy.wait_ready(timeout_s=60)
    healthy.apply(ingestor())
    healthy.wait_ready(timeout_s=60)
    lies = [text for claim, pods in watch.claims() if (text := find_lie(claim, pods, images.current))]
    assert lies == []
    assert len(list(watch.claims())) >= 4


def test_each_transition_is_told_by_exactly_one_event(healthy: Site, watch: Watch) -> None:
    """Counts the Events of all tests of this module, and first adds a few."""
    healthy.apply(ingestor(database={"host": "nowhere"}))
    healthy.wait_condition("DatabaseReachable", "DatabaseUnavailable")
    healthy.apply(ingestor())
    healthy.wait_ready(timeout_s=BOUND_S)
    wait_for(
        lambda: told(healthy) == transitions(watch.versions()) + MADE,
        10,
        lambda: (
            f"told too often: {told(healthy) - transitions(watch.versions()) - MADE};"
            f" never told: {transitions(watch.versions()) + MADE - told(healthy)}"
        ),
    )


def shows(site: Site, fault: Fault) -> bool:
    """Tell whether a fault is named in its condition, and Ready is False for it."""
    conditions = site.conditions()
    condition, ready = conditions.get(fault.condition, {}), conditions.get("Ready", {})
    named = (condition.get("status"), condition.get("reason")) == ("False", fault.reason)
    return named and fault.words in condition["message"] and ready.get("status") == "False"


def serving(site: Site) -> set[str]:
    """Return the ids of the ingest pods that are ready and stay."""
    return {
        pod["metadata"]["uid"]
        for pod in site.list("pods", "app.kubernetes.io/component=ingest")
        if "deletionTimestamp" not in pod["metadata"]
        and any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions") or [])
    }


def serve(site: Site, replicas: int) -> bool:
    """Tell whether so many pods serve."""
    return len(serving(site)) == replicas


def level_of(pod: Manifest) -> str:
    """Return a pod's level of logging."""
    variables = {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0]["env"]}
    return str(variables["INGESTOR_LOG_LEVEL"])


def find_lie(claim: Seen, pods: list[Manifest], default_image: str) -> str:
    """Return what is wrong with an Ingestor that says it is Ready; nothing where it is right."""
    asked = claim.body["spec"]
    wanted = asked.get("image", default_image), asked["observability"]["logLevel"]
    running = {(pod["spec"]["containers"][0]["image"], level_of(pod)) for pod in pods}
    if running == {wanted}:
        return ""
    return f"generation {claim.body['metadata']['generation']} asks for {wanted}, but pods are {running}"


def transitions(versions: list[Seen]) -> Counter[str]:
    """Return the reasons that should have been told: of trouble, of its end, and of Ready."""
    reasons: Counter[str] = Counter()
    before: Conditions = {}
    for version in versions:
        for kind, item in version.conditions.items():
            if is_told(kind, item["status"]) and is_transition(before.get(kind, {}), item):
                reasons[item["reason"]] += 1
        before = version.conditions
    return reasons


def is_told(kind: str, status: str) -> bool:
    """Tell whether a status of a condition is told at all: causes always, the summary when it is good."""
    return (kind, status) in {("Ready", "True"), ("Progressing", "False")} or (
        kind in ("DatabaseReachable", "SchemaApplied", "Ingesting") and status != "Unknown"
    )


def is_transition(before: Manifest, after: Manifest) -> bool:
    """Tell whether the status changed, or the reason of what is not well; what was well from the start is no news."""
    if before.get("status") == after["status"]:
        return bool(after["status"] == "False" and before["reason"] != after["reason"])
    return bool(after["status"] == "False" or after["type"] == "Ready" or before.get("status") == "False")


def told(site: Site) -> Counter[str]:
    """Return the reasons of the Events about the Ingestor, each as often as it was told."""
    selector = "involvedObject.kind=Ingestor,involvedObject.name=metrics"
    events = json.loads(site.kubectl("get", "events", "--field-selector", selector, "-o", "json"))["items"]
    reasons: Counter[str] = Counter()
    for event in events:
        reasons[event["reason"]] += event["count"]
    return reasons
