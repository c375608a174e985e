"""What cannot be is refused by the API server or named in a condition, says what to do, and disturbs nobody."""

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.kube import CommandError, Manifest, Site, ingestor, wait_for
from support.watch import Watch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SHOWN_S = 30.0
_NUMBERS = itertools.count()
LONG_NAME = "a" * 51
HOURLY: Manifest = {
    "name": "by_hour",
    "bucket": "1h",
    "refresh": {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"},
}


def changed(*changes: tuple[str, Any], name: str = "") -> Manifest:
    """Return a valid Ingestor with values set at dotted paths of its spec; None removes.

    Without a name it gets one that no other has: what is let through by mistake must not hide what comes next.
    """
    body = copy.deepcopy(ingestor(name or f"refused-{next(_NUMBERS)}"))
    for path, value in changes:
        *parents, last = path.split(".")
        place = body["spec"]
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = copy.deepcopy(value)
    return body


REFUSED = {
    "no database": (changed(("database", None)), "spec.database: Required value"),
    "no Secret of the writer": (changed(("database.writerSecretRef", None)), "writerSecretRef: Required value"),
    "a host without a database": (changed(("database.name", None)), "give host and name together"),
    "a host that is none": (changed(("database.host", "time scale")), "spec.database.host"),
    "a host with a port": (changed(("database.host", "timescaledb:5432")), "spec.database.port"),
    "a port that is none": (changed(("database.port", 70000)), "less than or equal to 65535"),
    "one Secret for both roles": (
        changed(("database.ownerSecretRef.name", "timescaledb-writer")), "pods must not hold the owner's password",
    ),
    "a Secret's name that is none": (changed(("database.writerSecretRef.name", "No_Name")), "writerSecretRef.name"),
    "authorities without encryption": (
        changed(("database.tls", {"mode": "Disabled", "caSecretRef": {"name": "ca"}})), "needs mode VerifyFull",
    ),
    "a TLS mode that is none": (changed(("database.tls.mode", "Sometimes")), '"VerifyFull", "Require", "Disabled"'),
    "fewer than no replicas": (changed(("replicas", -1)), "greater than or equal to 0"),
    "replicas in words": (changed(("replicas", "two")), "spec.replicas"),
    "too many replicas": (changed(("replicas", 5000)), "less than or equal to 1000"),
    "autoscaling upside down": (
        changed(("autoscaling", {"minReplicas": 5, "maxReplicas": 2})), "minReplicas is above maxReplicas",
    ),
    "autoscaling without a request": (
        changed(("autoscaling", {"maxReplicas": 2}), ("pod.resources", {"requests": {"memory": "128Mi"}})),
        "set pod.resources.requests.cpu",
    ),
    "an image with a space": (changed(("image", "ingestor :1")), "spec.image"),
    "a quantity that is none": (changed(("pod.resources.requests.memory", "lots")), "memory"),
    "a label of ours": (changed(("pod.labels", {"app.kubernetes.io/name": "x"})), "are the operator's own"),
    "a label's value that is none": (changed(("pod.labels", {"team": "a b"})), "spec.pod.labels.team"),
    "a toleration's effect that is none": (changed(("pod.tolerations", [{"effect": "Never"}])), '"NoSchedule"'),
    "a Service's type that is none": (changed(("service.type", "ExternalName")), '"LoadBalancer"'),
    "a port of the system": (changed(("server.port", 80)), "greater than or equal to 1024"),
    "the port of metrics": (changed(("server.port", 9090)), "9090 is the port of metrics: choose another"),
    "messages that are too large": (changed(("server.limits.messageSize", "1Gi")), "must be between 1Ki and 32Mi"),
    "a size in decimal": (changed(("delivery.buffer.size", "64MB")), "spec.delivery.buffer.size"),
    "a size of zero": (changed(("delivery.buffer.size", "0Mi")), "spec.delivery.buffer.size"),
    "an ack below the minimum": (
        changed(("delivery.ack", "Buffered"), ("delivery.minimumAck", "Committed")), "raise ack or lower minimumAck",
    ),
    "batches upside down": (
        changed(("delivery.batch", {"rows": 60000, "maxRows": 50000})), "batch.rows is above maxRows",
    ),
    "a window that is too short": (changed(("delivery.deduplicationWindow", "1m")), "must be between 5m and 7d"),
    "a duration without a unit": (changed(("delivery.commitTimeout", "20")), "spec.delivery.commitTimeout"),
    "a duration in words": (changed(("schema.chunkInterval", "1 day")), "spec.schema.chunkInterval"),
    "a schema of PostgreSQL's": (changed(("schema.name", "pg_temp")), "reserved by PostgreSQL or TimescaleDB"),
    "a schema's name that is none": (changed(("schema.name", "My-Schema")), "spec.schema.name"),
    "an index that is none": (changed(("schema.index", "Hash")), '"SeriesTime", "TimeBrin"'),
    "a retention before the columnstore": (
        changed(("schema.columnstore", {"after": "90d"}), ("schema.retention", {"dropAfter": "90d"})),
        "chunks would be gone before",
    ),
    "a refresh past the retention": (
        changed(("schema.rollups", [HOURLY]), ("schema.retention", {"dropAfter": "2d"})),
        "replace the history of dropped points with nothing",
    ),
    "a refresh of less than two buckets": (
        changed(("schema.rollups", [HOURLY | {"bucket": "2d"}])), "must be 2 buckets or more",
    ),
    "a rollup that is made again and again": (
        changed(("schema.rollups", [HOURLY | {"retention": {"dropAfter": "2d"}}])), "would make again what was dropped",
    ),
    "a rollup twice": (changed(("schema.rollups", [HOURLY, HOURLY])), "Duplicate value"),
    "a rollup of our table's name": (changed(("schema.rollups", [HOURLY | {"name": "samples"}])), "choose another"),
    "a column twice": (
        changed(("schema.columnstore", {"orderBy": ["series_id DESC"]})), "may stand once in segmentBy and orderBy",
    ),
    "a column that is none": (changed(("schema.columnstore", {"orderBy": ["labels"]})), "orderBy"),
    "a retention of no time": (changed(("schema.retention", {"dropAfter": "0d"})), "dropAfter"),
    "an approval that is none": (changed(("schema.approvedPlan", "yes")), "spec.schema.approvedPlan"),
    "a log level that is none": (changed(("observability.logLevel", "LOUD")), '"DEBUG", "INFO"'),
    "a name that is too long": (changed(name=LONG_NAME), "at most 50 of a-z, 0-9 and -"),
    "a name that starts with a digit": (changed(name="1st"), "starting with a letter"),
    "the name of another's headless Service": (changed(name="metrics-headless"), "-headless"),
    "an unknown field": (changed(("relicas", 3)), 'unknown field "spec.relicas"'),
    "an unknown field deep down": (changed(("delivery.buffer.sise", 1)), 'unknown field "spec.delivery.buffer.sise"'),
}  # fmt: skip
"""Case, object, and what the API server's answer must say."""


@dataclass(frozen=True)
class Accepted:
    """What the API server lets through, and the condition that names it; ``words`` say what to do."""

    changes: dict[str, Any]
    condition: str
    reason: str
    words: tuple[str, ...]
    others: tuple[Manifest, ...] = field(default=())


def foreign(kind: str, name: str, api_version: str = "v1", **rest: Any) -> Manifest:
    """Return an object that is not the operator's."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": {"of": "others"}}, **rest}


def secret(name: str, **data: str) -> Manifest:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
SPREAD = {"maxSkew": 0, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}

ACCEPTED = {
    "affinity-empty": Accepted(
        {"pod.affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}},
        "Progressing", "Invalid", ("spec.affinity.nodeAffinity", "nodeSelectorTerms"),
    ),
    "affinity-unknown": Accepted(
        {"pod.affinity": {"nodeAfinity": {}}}, "Progressing", "Invalid", ("nodeAfinity",),
    ),
    "spread-zero": Accepted(
        {"pod.topologySpreadConstraints": [SPREAD]}, "Progressing", "Invalid", ("maxSkew",),
    ),
    "spread-words": Accepted(
        {"pod.topologySpreadConstraints": [{**SPREAD, "maxSkew": "many"}]}, "Progressing", "Invalid", ("maxSkew",),
    ),
    "request-above-limit": Accepted(
        {"pod.resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
        "Progressing", "Invalid", ("must be less than or equal to memory limit",),
    ),
    "request-below-zero": Accepted(
        {"pod.resources": {"requests": {"cpu": "-1"}}},
        "Progressing", "Invalid", ("must be greater than or equal to 0",),
    ),
    "resource-unknown": Accepted(
        {"pod.resources": {"requests": {"gpus": 1}}}, "Progressing", "Invalid", ("gpus",),
    ),
    "label-key": Accepted(
        {"pod.labels": {"no key!": "x"}}, "Progressing", "Invalid", ("no key!",),
    ),
    "node-selector-key": Accepted(
        {"pod.nodeSelector": {"no key!": "x"}}, "Progressing", "Invalid", ("no key!",),
    ),
    "toleration-value": Accepted(
        {"pod.tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        "Progressing", "Invalid", ("value must be empty when `operator` is 'Exists'",),
    ),
    "priority-unknown": Accepted(
        {"pod.priorityClassName": "nowhere"}, "Progressing", "PodsRefused", ("no PriorityClass with name nowhere",),
    ),
    "image-name": Accepted(
        {"image": "Not/An:image:1"}, "Progressing", "ImagePullFailed", ("correct spec.image",),
    ),
    "policy-peer": Accepted(
        {"networkPolicy.from": [{"ipBlock": {"cidr": "everywhere"}}]}, "Progressing", "Invalid", ("everywhere",),
    ),
    "service-annotation": Accepted(
        {"service.annotations": {"no key!": "x"}}, "Progressing", "Invalid", ("no key!",),
    ),
    "behavior": Accepted(
        {"autoscaling": {"maxReplicas": 2, "behavior": {"scaleUp": {"policies": []}}}},
        "Progressing", "Invalid", ("behavior",),
    ),
    "pod-monitor": Accepted(
        {"observability.podMonitor": {"enabled": True}}, "Progressing", "PodMonitorsOff", ("podMonitors.enabled=true",),
    ),
    "too-few-connections": Accepted(
        {"replicas": 10, "database.maxConnections": 20}, "Progressing", "TooFewConnections", ("raise it",),
    ),
    "secret-missing": Accepted(
        {"database.writerSecretRef.name": "nowhere"}, "DatabaseReachable", "SecretNotFound", ("nowhere; create it",),
    ),
    "secret-empty": Accepted(
        {"database.writerSecretRef.name": "empty"}, "DatabaseReachable", "SecretInvalid", ("no username; add it",),
        (secret("empty"),),
    ),
    "secret-without-uri": Accepted(
        {"database.host": None, "database.name": None},
        "DatabaseReachable", "SecretInvalid", ("has no uri; add it",),
    ),
    "secret-with-bad-uri": Accepted(
        {
            "database.host": None, "database.name": None,
            "database.writerSecretRef.name": "bad-uri", "database.ownerSecretRef.name": "bad-uri-too",
        },
        "DatabaseReachable", "SecretInvalid", ("write postgresql://",),
        (secret("bad-uri", uri="mysql://a:b@c/d"), secret("bad-uri-too", uri="mysql://a:b@c/d")),
    ),
    "one-role": Accepted(
        {"database.writerSecretRef.name": "owner-again"},
        "DatabaseReachable", "RolesInvalid", ("correct the Secrets",),
        (secret("owner-again", username="analytics_owner", password="trying-owner"),),
    ),
    "authorities-missing": Accepted(
        {"database.tls": {"mode": "VerifyFull", "caSecretRef": {"name": "nowhere"}}},
        "DatabaseReachable", "SecretNotFound", ("spec.database.tls.caSecretRef",),
    ),
    "encryption-missing": Accepted(
        {"database.tls.mode": "VerifyFull"}, "DatabaseReachable", "TlsFailed", ("TLS",),
    ),
    "reader-missing": Accepted(
        {"database.readerRole": "nobody_reads"}, "SchemaApplied", "RoleMissing", ("ingestor schema bootstrap",),
    ),
    "index-differs": Accepted(
        {"schema.index": "TimeBrin"}, "SchemaApplied", "SchemaConflict", ("make both agree",),
    ),
    "service-taken": Accepted(
        {}, "Progressing", "Conflict", ("Service service-taken", "another name"),
        (foreign("Service", "service-taken", spec={"selector": {"app": "theirs"}, "ports": [{"port": 80}]}),),
    ),
    "bare-service-taken": Accepted(
        {}, "Progressing", "Conflict", ("Service bare-service-taken", "another name"),
        (foreign("Service", "bare-service-taken", spec={"ports": [{"port": 80}]}),),
    ),
    "account-taken": Accepted(
        {}, "Progressing", "Conflict", ("ServiceAccount account-taken", "another name"),
        (foreign("ServiceAccount", "account-taken"),),
    ),
    "budget-taken": Accepted(
        {}, "Progressing", "Conflict", ("PodDisruptionBudget budget-taken", "another name"),
        (foreign("PodDisruptionBudget", "budget-taken", "policy/v1", spec={"minAvailable": 1}),),
    ),
}  # fmt: skip
"""Each is an Ingestor of this name."""


@dataclass(frozen=True)
class Neighbour:
    """A healthy Ingestor beside the broken ones, watched from before them."""

    watch: Watch
    deployment: str


@pytest.fixture(scope="module")
def neighbour(site: Site) -> Iterator[Neighbour]:
    """Return the healthy Ingestor ``metrics``."""
    site.apply(ingestor())
    site.wait_ready()
    site.wait_condition("Ingesting", "CommitsFlow", "True")
    with Watch(site) as watch:
        yield Neighbour(watch, version(site))


@pytest.fixture(scope="module")
def broken(site: Site, neighbour: Neighbour) -> Site:
    """Return the namespace with all the Ingestors in it that the API server lets through."""
    site.apply(*(other for case in ACCEPTED.values() for other in case.others))
    site.apply(*(changed(*case.changes.items(), name=name) for name, case in ACCEPTED.items()))
    return site


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_server_refuses_what_cannot_be_and_says_what_can(site: Site, neighbour: Neighbour, name: str) -> None:
    body, words = REFUSED[name]
    with pytest.raises(CommandError) as refusal:
        site.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(body))
    assert words in str(refusal.value)
    assert not site.exists("igst", body["metadata"]["name"])


def test_the_name_of_the_schema_cannot_change(site: Site, neighbour: Neighbour) -> None:
    with pytest.raises(CommandError, match="create another Ingestor for another schema"):
        site.patch("metrics", {"schema": {"name": "elsewhere"}})


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_condition_names_what_the_api_server_lets_through(broken: Site, name: str) -> None:
    case = ACCEPTED[name]

    def named() -> bool:
        found = broken.conditions(name).get(case.condition, {})
        state = found.get("status"), found.get("reason")
        return state == ("False", case.reason) and all(word in found["message"] for word in case.words)

    wait_for(named, SHOWN_S, lambda: "\n".join(map(str, broken.conditions(name).values())))


def test_none_of_them_says_that_it_is_ready(broken: Site) -> None:
    """By now all had the time to say so; what was asked for is not there, whatever serves."""
    bodies = {body["metadata"]["name"]: body for body in broken.list("igst")}
    assert ACCEPTED.keys() <= bodies.keys()
    readiness = {name: readiness_of(bodies[name]) for name in ACCEPTED}
    assert {name: status for name, status in readiness.items() if status != "False"} == {}


def readiness_of(body: Manifest) -> str:
    """Return the status of Ready."""
    return next((item["status"] for item in body["status"]["conditions"] if item["type"] == "Ready"), "")


def test_what_belongs_to_others_is_left_alone(broken: Site) -> None:
    others = [
        other for case in ACCEPTED.values() for other in case.others if "of" in other["metadata"].get("labels", {})
    ]
    for other in others:
        found = broken.get(other["kind"], other["metadata"]["name"])["metadata"]
        assert "ownerReferences" not in found, f"{other['kind']} would go with the Ingestor"
        assert found["labels"] == {"of": "others"}
    assert len(others) >= 4


def test_the_neighbour_was_ready_and_untouched_all_the_time(broken: Site, neighbour: Neighbour) -> None:
    versions = [item.conditions["Ready"] for item in neighbour.watch.versions()]
    assert versions
    assert {item["status"] for item in versions} == {"True"}, versions
    assert version(broken) == neighbour.deployment


def version(site: Site) -> str:
    """Return the version of the neighbour's Deployment."""
    return str(site.get("deployment", "metrics")["metadata"]["resourceVersion"])
