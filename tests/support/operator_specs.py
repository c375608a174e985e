"""Ingestors for tests: one to begin with, and random ones that the CRD lets through."""

from functools import partial
from typing import Any

from hypothesis import strategies as st

from ingestor_operator.manifests.facts import Facts
from ingestor_operator.resource.ingestor import API_VERSION, KIND, Ingestor, IngestorSpec

Manifest = dict[str, Any]
Drawn = st.SearchStrategy[Manifest]

NAMESPACE = "team"
DATABASE: Manifest = {
    "host": "timescaledb",
    "name": "metrics",
    "writerSecretRef": {"name": "writer"},
    "ownerSecretRef": {"name": "owner"},
}
FACTS = Facts(
    image="registry.example/ingestor:1",
    connections=4,
    credentials="0123456789abcdef",
    has_uri=False,
    database_port=5432,
)


def ingestor_body(name: str = "metrics", **spec: Any) -> Manifest:
    """Return an Ingestor as a user would write it."""
    database = DATABASE | spec.pop("database", {})
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": 2, **spec, "database": database},
    }


def read_ingestor(name: str = "metrics", **spec: Any) -> Ingestor:
    """Return an Ingestor as the API server would give it, its generation 1."""
    body = ingestor_body(name, **spec)
    body["metadata"] |= {
        "uid": "uid-1",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return Ingestor.read(body)


def parsed(**spec: Any) -> IngestorSpec:
    """Return a spec with all its defaults."""
    return read_ingestor(**spec).parse_spec()


def specs() -> Drawn:
    """Draw the ``spec`` of an Ingestor: valid, with any of its parts left out."""
    return _some(
        {
            "image": st.sampled_from(["registry.example/own:7", "own@sha256:" + "0" * 64]),
            "replicas": st.integers(0, 5),
            "autoscaling": _autoscaling(),
            "pod": _pod(),
            "service": _some(
                {"type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]), "annotations": _texts()}
            ),
            "networkPolicy": _some({"enabled": st.booleans(), "from": _peers(), "metricsFrom": _peers()}),
            "podDisruptionBudget": _some({"enabled": st.booleans()}),
            "server": _server(),
            "delivery": _delivery(),
            "schema": _schema(),
            "observability": _observability(),
        },
        {"database": _database()},
    )


def _some(
    optional: dict[str, st.SearchStrategy[Any]], needed: dict[str, st.SearchStrategy[Any]] | None = None
) -> Drawn:
    return st.fixed_dictionaries(needed or {}, optional=optional)


def _durations(least_s: int, most_s: int) -> st.SearchStrategy[str]:
    """Draw durations between two bounds, also written in larger units."""
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    written = [
        st.integers(max(1, -(-least_s // unit)), min(999_999, most_s // unit)).map(partial("{1}{0}".format, name))
        for name, unit in units.items()
        if min(999_999, most_s // unit) >= max(1, -(-least_s // unit))
    ]
    return st.one_of(written)


def _texts() -> Drawn:
    keys = st.sampled_from(["team.example/owner", "note", "prometheus.io/scrape"])
    return st.dictionaries(keys, st.sampled_from(["", "a b", "1", "true", "ünï", "1000m"]), max_size=3)


def _labels() -> Drawn:
    return st.dictionaries(
        st.sampled_from(["team", "tier.example/x"]), st.sampled_from(["", "a", "1.0", "A_b"]), max_size=2
    )


def _peers() -> st.SearchStrategy[list[Manifest]]:
    peers: list[Manifest] = [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"team": "a"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
    ]
    return st.lists(st.sampled_from(peers), max_size=2)


def _autoscaling() -> Drawn:
    def ordered(bounds: tuple[int, int]) -> Drawn:
        return _some(
            {
                "targetCPUUtilizationPercentage": st.integers(1, 1000),
                "behavior": st.just({"scaleDown": {"stabilizationWindowSeconds": 60}}),
            },
            {"minReplicas": st.just(min(bounds)), "maxReplicas": st.just(max(bounds))},
        )

    return st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(ordered)


def _pod() -> Drawn:
    toleration = _some(
        {
            "key": st.just("dedicated"),
            "operator": st.sampled_from(["Exists", "Equal"]),
            "effect": st.sampled_from(["NoSchedule", "NoExecute"]),
            "tolerationSeconds": st.integers(0, 600),
        }
    )
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    affinity: Manifest = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
            }
        }
    }
    return _some(
        {
            "resources": _resources(),
            "nodeSelector": _labels(),
            "tolerations": st.lists(toleration, max_size=2),
            "affinity": st.sampled_from([{}, affinity]),
            "topologySpreadConstraints": st.sampled_from([[], [spread]]),
            "labels": _labels(),
            "annotations": _texts(),
            "priorityClassName": st.just("high"),
            "imagePullSecrets": st.sampled_from([[], [{"name": "pull"}], [{"name": "pull"}, {"name": "other"}]]),
        }
    )


def _resources() -> Drawn:
    cpu = st.sampled_from(["250m", "1000m", "0.5", "1", 1])
    memory = st.sampled_from(["256Mi", "1Gi", 536_870_912])
    requests = _some({"memory": memory, "ephemeral-storage": st.just("1Gi")}, {"cpu": cpu})
    return _some({"limits": _some({"memory": st.just("2Gi"), "cpu": st.just("2")})}, {"requests": requests})


def _server() -> Drawn:
    limits = _some(
        {
            "messageSize": st.sampled_from(["1Ki", "4Mi", "32Mi", "1048576"]),
            "streamsPerConnection": st.integers(1, 1000),
            "connectionAge": _durations(1, 86_400),
            "labelsPerPoint": st.integers(0, 1024),
            "timeBehind": _durations(60, 3650 * 86_400),
            "timeAhead": _durations(1, 30 * 86_400),
            "newSeriesPerSecond": st.integers(1, 1_000_000),
        }
    )
    port = st.integers(1024, 65_535).filter(lambda number: number != 9090)
    return _some({"port": port, "reflection": st.booleans(), "limits": limits})


def _delivery() -> Drawn:
    def ordered(rows: tuple[int, int]) -> Drawn:
        return st.just({"rows": min(rows), "maxRows": max(rows)})

    # maxRows below the default of rows, and rows above that of maxRows, the CRD refuses.
    alone = _some({"rows": st.integers(1, 50_000)}) | _some({"maxRows": st.integers(20_000, 1_000_000)})
    both = st.tuples(st.integers(1, 1_000_000), st.integers(1, 1_000_000)).flatmap(ordered)
    acks = st.sampled_from(
        [
            {},
            {"ack": "Committed", "minimumAck": "Committed"},
            {"ack": "Buffered", "minimumAck": "Buffered"},
            {"ack": "Committed"},
        ]
    )
    rest = _some(
        {
            "batch": alone | both,
            "buffer": _some({"size": st.sampled_from(["1Mi", "64Mi", "16Gi", "1048576"])}),
            "deduplicationWindow": _durations(300, 7 * 86_400),
            "commitTimeout": _durations(1, 50),
        }
    )
    return st.tuples(acks, rest).map(lambda parts: parts[0] | parts[1])


def _database() -> Drawn:
    address = _some(
        {"port": st.integers(1, 65_535)},
        {
            "host": st.sampled_from(["timescaledb", "db.team.svc", "10.0.0.9", "2001:db8::1"]),
            "name": st.sampled_from(["metrics", "my db", "ünï", "50%", "a@b:c", "$(POD)"]),
        },
    )
    tls = st.sampled_from(
        [
            {},
            {"mode": "Disabled"},
            {"mode": "Require"},
            {"mode": "VerifyFull", "caSecretRef": {"name": "ca"}},
            {"caSecretRef": {"name": "ca", "key": "root.pem"}},
        ]
    )
    rest = _some(
        {"tls": tls, "readerRole": st.just("grafana"), "maxConnections": st.integers(14, 10_000)},
        {"writerSecretRef": st.just({"name": "writer"}), "ownerSecretRef": st.just({"name": "owner"})},
    )
    return st.tuples(st.just({}) | address, rest).map(lambda parts: parts[0] | parts[1])


def _schema() -> Drawn:
    return _some(
        {
            "managementPolicy": st.sampled_from(["Apply", "Plan", "Observe"]),
            "approvedPlan": st.just("0123456789abcdef"),
            "name": st.sampled_from(["analytics", "a", "_x9"]),
            "index": st.sampled_from(["SeriesTime", "TimeBrin"]),
            "chunkInterval": _durations(60, 3650 * 86_400),
            "columnstore": _columnstore(),
            "retention": _some({"scheduleInterval": _durations(60, 86_400)}, {"dropAfter": _durations(*_KEPT_S)}),
            "rollups": st.lists(_rollup(), max_size=3, unique_by=lambda rollup: rollup["name"]),
        }
    )


_KEPT_S = (40 * 86_400, 4_000 * 86_400)
"""Longer than any age at which chunks are converted, or rollups refreshed."""


def _columnstore() -> Drawn:
    return _some(
        {
            "after": _durations(3_600, 39 * 86_400),
            "segmentBy": st.sampled_from([[], ["series_id"]]),
            "orderBy": st.sampled_from([["time"], ["time DESC", "value ASC"]]),
            "scheduleInterval": _durations(60, 86_400),
        }
    )


def _rollup() -> Drawn:
    refresh = st.fixed_dictionaries(
        {
            "startOffset": _durations(3 * 86_400, 39 * 86_400),
            "endOffset": _durations(60, 86_400),
            "scheduleInterval": _durations(60, 86_400),
        }
    )
    needed = {
        "name": st.sampled_from(["by_hour", "by_day", "r1"]),
        "bucket": _durations(60, 86_400),
        "refresh": refresh,
    }
    return _some({"retention": st.fixed_dictionaries({"dropAfter": _durations(*_KEPT_S)})}, needed)


def _observability() -> Drawn:
    monitor = _some({"enabled": st.booleans(), "interval": _durations(1, 3600), "labels": _labels()})
    return _some({"logLevel": st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR"]), "podMonitor": monitor})
