"""Rules that hold for the objects of every Ingestor, whatever its spec says."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given, settings
from referencing import Registry, Resource

from ingestor.config import Settings
from ingestor_operator.manifests.children import KINDS, build_children
from ingestor_operator.manifests.drift import satisfies
from ingestor_operator.manifests.facts import Facts, Manifest, selector, selector_text
from ingestor_operator.resource.database import Database
from ingestor_operator.resource.ingestor import API_VERSION, KIND, Ingestor, IngestorSpec
from support.fake_defaults import stored
from support.operator_specs import FACTS, read_ingestor, specs
from support.pod_security import violations

URI_FACTS = Facts(image="image:1", connections=1, credentials="fedcba9876543210", has_uri=True, database_port=6432)


def children_of(spec: dict[str, Any], facts: Facts | None = None) -> list[Manifest]:
    """Return the children of an Ingestor with this spec."""
    ingestor, parsed = _ingestor(spec)
    return build_children(ingestor, parsed, facts or facts_of(parsed))


def facts_of(spec: IngestorSpec) -> Facts:
    """Return facts that fit to a spec."""
    return FACTS if spec.database.host else URI_FACTS


@cache
def validator(kind: str, api_version: str) -> jsonschema.Draft202012Validator:
    """Return what kubernetes-validate checks an object with, strictly; that itself reads its files for each object."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / "v1.35.0-local-strict"
    group = re.sub(r"^([^./]*)[^/]*/", r"\1-", api_version)
    schema, definitions = (
        Resource.from_contents(json.loads((folder / name).read_text()))
        for name in (f"{kind.lower()}-{group}.json", "_definitions.json")
    )
    return jsonschema.Draft202012Validator(schema.contents, registry=(schema @ (definitions @ Registry())))


def _ingestor(spec: dict[str, Any]) -> tuple[Ingestor, IngestorSpec]:
    ingestor = read_ingestor()
    ingestor.raw_spec.clear()
    ingestor.raw_spec.update(spec)
    return ingestor, ingestor.parse_spec()


def only(items: list[Manifest], kind: str, name: str = "metrics") -> Manifest:
    """Return the one object of a kind and name."""
    (found,) = [item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_an_api_server_takes_every_object(spec: dict[str, Any]) -> None:
    for item in children_of(spec):
        if item["kind"] != "PodMonitor":
            validator(item["kind"], item["apiVersion"]).validate(item)


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_pods_satisfy_the_strictest_pod_security(spec: dict[str, Any]) -> None:
    pod = only(children_of(spec), "Deployment")["spec"]["template"]["spec"]
    assert violations(pod) == []
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_every_object_is_named_labelled_and_owned(spec: dict[str, Any]) -> None:
    order = {kind.kind: place for place, kind in enumerate(KINDS)} | {"PodMonitor": len(KINDS)}
    items = children_of(spec)
    assert [order[item["kind"]] for item in items] == sorted(order[item["kind"]] for item in items)
    assert len({(item["kind"], item["metadata"]["name"]) for item in items}) == len(items)
    for item in items:
        metadata = item["metadata"]
        assert metadata["name"] in ("metrics", "metrics-headless")
        assert metadata["namespace"] == "team"
        assert selector("metrics").items() <= metadata["labels"].items()
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "ingestor-operator"
        (owner,) = metadata["ownerReferences"]
        assert (owner["apiVersion"], owner["kind"], owner["uid"]) == (API_VERSION, KIND, "uid-1")
        assert owner["controller"] is True


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_whatever_is_asked_for_the_pods_are_found_by_the_same_labels(spec: dict[str, Any]) -> None:
    items = children_of(spec)
    deployment = only(items, "Deployment")["spec"]
    wanted = {
        "app.kubernetes.io/name": "analytics-ingestor",
        "app.kubernetes.io/instance": "metrics",
        "app.kubernetes.io/component": "ingest",
    }
    assert deployment["selector"]["matchLabels"] == wanted  # it cannot be changed once it is there
    assert wanted.items() <= deployment["template"]["metadata"]["labels"].items()
    assert all(only(items, "Service", name)["spec"]["selector"] == wanted for name in ("metrics", "metrics-headless"))
    assert selector_text("metrics") == ",".join(f"{key}={value}" for key, value in wanted.items())


@settings(max_examples=150, deadline=None)
@given(spec=specs())
def test_a_pod_is_never_made_that_cannot_start(spec: dict[str, Any]) -> None:
    container = only(children_of(spec), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    parsed = IngestorSpec.model_validate(spec)
    with environment(container["env"]):
        found = Settings()
    assert found.database_schema == parsed.schema_.name
    assert found.grpc_port == container["ports"][0]["containerPort"] == parsed.server.port
    assert found.http_port == container["ports"][1]["containerPort"]
    assert found.ack == parsed.delivery.ack.lower()
    assert found.connections == facts_of(parsed).connections
    assert found.log_format == "json"
    _check_address(found.database_url.get_secret_value(), parsed.database)


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_what_a_server_stores_satisfies_what_was_asked_for(spec: dict[str, Any]) -> None:
    for item in children_of(spec):
        assert satisfies(stored(item), item), item["kind"]


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_the_grace_period_holds_the_whole_drain(spec: dict[str, Any]) -> None:
    pod = only(children_of(spec), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {item["name"]: item.get("value") for item in container["env"]}
    pause_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause_s + float(variables["INGESTOR_SHUTDOWN_GRACE_S"])


def test_no_password_is_in_any_object() -> None:
    text = str(
        children_of({"database": {"writerSecretRef": {"name": "w"}, "ownerSecretRef": {"name": "secret-owner"}}})
    )
    assert "secret-owner" not in text  # the owner's Secret is the operator's alone


def test_optional_objects_are_made_when_asked_for() -> None:
    def made(**spec: Any) -> set[str]:
        return {item["kind"] for item in children_of(read_ingestor(**spec).raw_spec)}

    assert {"PodDisruptionBudget", "NetworkPolicy"} <= made()
    assert not {"HorizontalPodAutoscaler", "PodMonitor"} & made()
    assert "PodDisruptionBudget" not in made(podDisruptionBudget={"enabled": False})
    assert "NetworkPolicy" not in made(networkPolicy={"enabled": False})
    assert "HorizontalPodAutoscaler" in made(autoscaling={"maxReplicas": 3})
    assert "PodMonitor" in made(observability={"podMonitor": {"enabled": True}})


def test_the_autoscaler_scales_the_ingestor_and_not_the_deployment() -> None:
    autoscaler = only(children_of(read_ingestor(autoscaling={"maxReplicas": 3}).raw_spec), "HorizontalPodAutoscaler")
    assert autoscaler["spec"]["scaleTargetRef"] == {"apiVersion": API_VERSION, "kind": KIND, "name": "metrics"}


def test_the_network_policy_lets_through_what_pods_need_and_no_more() -> None:
    spec = read_ingestor(server={"port": 4317}, networkPolicy={"from": [{"podSelector": {}}]}).raw_spec
    policy = only(children_of(spec, URI_FACTS), "NetworkPolicy")["spec"]
    assert [(rule["ports"][0]["port"], rule.get("from")) for rule in policy["ingress"]] == [
        (4317, [{"podSelector": {}}]),
        (9090, None),
    ]
    out = [(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]]
    assert out == [(53, "UDP"), (53, "TCP"), (6432, "TCP")]
    assert policy["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("tls", "variables"),
    [
        ({}, {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt"}),
        ({"mode": "Require"}, {"PGSSLMODE": "require"}),
        ({"mode": "Disabled"}, {"PGSSLMODE": "disable"}),
        (
            {"caSecretRef": {"name": "ca"}},
            {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ingestor/database/ca.crt"},
        ),
    ],
)
def test_connections_are_verified_unless_it_is_written_out(tls: dict[str, Any], variables: dict[str, str]) -> None:
    pod = only(children_of(read_ingestor(database={"tls": tls}).raw_spec), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith("PGSSL")}
    assert found == variables
    mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    assert mounts == (["/etc/ingestor/database"] if "caSecretRef" in tls else [])


@contextmanager
def environment(variables: list[Manifest]) -> Iterator[None]:
    """Set a container's variables as a kubelet would, with something in place of Secrets and fields."""
    resolved = {item["name"]: item.get("value") or _resolve(item["valueFrom"]) for item in variables}
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(("INGESTOR_", "PG")):
            del os.environ[name]
    os.environ.update(resolved)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _resolve(source: Manifest) -> str:
    if "fieldRef" in source:
        return "metrics-1"
    assert source["secretKeyRef"]["name"] == "writer"
    return {"uri": "postgresql://u:p@h/d", "username": "u", "password": "p"}[source["secretKeyRef"]["key"]]


def _check_address(url: str, database: Database) -> None:
    if database.host is None:
        return
    parts = urlsplit(url)
    assert parts.hostname == database.host
    assert parts.port == database.port
    assert unquote(parts.path.removeprefix("/")) == database.name
    assert "$(" not in url  # a kubelet would put a variable there
