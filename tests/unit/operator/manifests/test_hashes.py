"""The three hashes of a Deployment: what is asked for, which pods, and whether a user wanted it so."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from ingestor_operator.manifests.children import build_children
from ingestor_operator.manifests.deployment import GENERATION_ANNOTATION, TEMPLATE_ANNOTATION, build_deployment, cause
from ingestor_operator.manifests.facts import DESIRED_ANNOTATION, Facts
from ingestor_operator.resource.ingestor import IngestorSpec
from support.operator_specs import FACTS, read_ingestor, specs

ALL = {"desired", "template", "cause"}


def hashes(facts: Facts = FACTS, **spec: Any) -> dict[str, str]:
    """Return the hashes of a Deployment."""
    ingestor = read_ingestor(**spec)
    annotations = build_deployment(ingestor, ingestor.parse_spec(), facts)["metadata"]["annotations"]
    names = {"desired": DESIRED_ANNOTATION, "template": TEMPLATE_ANNOTATION, "cause": GENERATION_ANNOTATION}
    return {name: annotations[key] for name, key in names.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the names of the hashes that differ."""
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("spec", "differ"),
    [
        ({"replicas": 7}, {"desired"}),
        ({"image": "own:1"}, {"desired", "cause"}),  # the image itself comes with the facts
        ({"observability": {"logLevel": "DEBUG"}}, ALL),
        ({"pod": {"labels": {"a": "b"}}}, ALL),
        ({"pod": {"resources": {"requests": {"cpu": "1"}}}}, ALL),
        ({"service": {"type": "NodePort"}}, {"desired", "cause"}),
        ({"schema": {"approvedPlan": "0" * 16}}, {"desired", "cause"}),
        ({"networkPolicy": {"enabled": False}}, {"desired", "cause"}),
        ({"server": {"port": 50051}}, set()),  # a default that is written out
        ({"delivery": {"batch": {"rows": 20_000}}, "pod": {}}, set()),
        ({"managementState": "Managed"}, set()),
    ],
)
def test_a_users_change_shows_where_it_should(spec: dict[str, Any], differ: set[str]) -> None:
    assert changed(hashes(), hashes(**spec)) == differ


@pytest.mark.parametrize(
    ("facts", "differ"),
    [
        ({"image": "ingestor:2"}, {"desired", "template"}),
        ({"connections": 1}, ALL),  # follows from the number of pods, which a user chose
        ({"credentials": "ffff"}, ALL),
        ({"database_port": 1}, set()),
    ],
)
def test_what_the_operator_changes_is_no_users_cause(facts: dict[str, Any], differ: set[str]) -> None:
    assert changed(hashes(), hashes(replace(FACTS, **facts))) == differ


class _NextSpec(IngestorSpec):
    """The spec of a later version, which has a field more."""

    added: int = Field(1, description="What is new.")


def test_a_field_that_a_later_version_adds_is_no_users_cause_until_it_is_set() -> None:
    spec = read_ingestor(replicas=3, service={"type": "NodePort"}).raw_spec
    now = cause(IngestorSpec.model_validate(spec), FACTS)
    assert cause(_NextSpec.model_validate(spec), FACTS) == now
    assert cause(_NextSpec.model_validate({**spec, "added": 1}), FACTS) == now  # as the new CRD fills it in
    assert cause(_NextSpec.model_validate({**spec, "added": 2}), FACTS) != now


@settings(max_examples=60, deadline=None)
@given(spec=specs(), replicas=st.integers(0, 9))
def test_the_number_of_pods_alone_changes_neither_template_nor_cause(spec: dict[str, Any], replicas: int) -> None:
    spec = {**spec, "database": {}}
    before, after = hashes(**spec), hashes(**{**spec, "replicas": replicas})
    assert changed(before, after) == (set() if spec.get("replicas", 2) == replicas else {"desired"})


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_the_same_spec_gives_the_same_objects(spec: dict[str, Any]) -> None:
    spec = {**spec, "database": {}}
    first, second = read_ingestor(**spec), read_ingestor(**dict(reversed(spec.items())))
    assert build_children(first, first.parse_spec(), FACTS) == build_children(second, second.parse_spec(), FACTS)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("PodMonitor", {"observability": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}}),
        ("Service", {"service": {"annotations": {"a": "b"}}}),
    ],
)
def test_a_label_or_annotation_that_is_no_longer_asked_for_shows_in_the_hash(kind: str, spec: dict[str, Any]) -> None:
    def desired(**spec: Any) -> str:
        ingestor = read_ingestor(**spec)
        items = build_children(ingestor, ingestor.parse_spec(), FACTS)
        found = next(item for item in items if item["kind"] == kind)
        return str(found["metadata"]["annotations"][DESIRED_ANNOTATION])

    assert desired(**spec) != desired(observability={"podMonitor": {"enabled": True}})
