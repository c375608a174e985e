"""Ingestors that share a schema: the oldest decides its shape, and nobody's data are dropped under others."""

from typing import Any

import pytest

from ingestor_operator.errors import BlockedError
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.resource.ingestor import Ingestor
from ingestor_operator.sharing import Sharing
from support.operator_specs import ingestor_body


def body(name: str, day: int, namespace: str = "team", *, deleting: bool = False, **spec: Any) -> Manifest:
    """Return an Ingestor that was made on a day."""
    made = ingestor_body(name, **spec)
    made["metadata"] |= {
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": f"2026-01-{day:02}T00:00:00Z",
    }
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2026-02-01T00:00:00Z"
    return made


BRIN: dict[str, Any] = {"schema": {"index": "TimeBrin"}}


def refused(sharing: Sharing, own: Manifest, *bodies: Manifest) -> str:
    """Return why an Ingestor may not have its schema as it wants it, empty if it may."""
    ingestor = Ingestor.read(own)
    try:
        sharing.check_agreement(ingestor, ingestor.parse_spec(), list(bodies))
    except BlockedError as error:
        assert error.reason == "SchemaConflict"
        return str(error)
    return ""


def users(sharing: Sharing, own: Manifest, *bodies: Manifest) -> list[str]:
    """Return who else uses the schema of an Ingestor."""
    ingestor = Ingestor.read(own)
    return sharing.other_users(ingestor, ingestor.parse_spec(), list(bodies))


def test_the_older_one_counts_in_either_order() -> None:
    older, younger = body("z", 1), body("a", 2, **BRIN)
    for bodies in ([older, younger], [younger, older]):
        assert "team/z is older" in refused(Sharing(), younger, *bodies)
        assert refused(Sharing(), older, *bodies) == ""


def test_of_two_of_one_second_exactly_one_counts() -> None:
    first, second = body("a", 1), body("b", 1, **BRIN)
    answers = [refused(Sharing(), own, first, second) for own in (first, second)]
    assert sorted(bool(answer) for answer in answers) == [False, True]


def test_agreement_is_fine() -> None:
    first, second = body("a", 1), body("b", 2, replicas=7, schema={"chunkInterval": "1d"})
    assert refused(Sharing(), second, first, second) == ""
    assert users(Sharing(), second, first, second) == ["team/a"]


@pytest.mark.parametrize(
    "other",
    [
        body("other", 1, schema={"index": "TimeBrin", "name": "apart"}),
        body("other", 1, database={"name": "apart"}, **BRIN),
        body("other", 1, database={"port": 6432}, **BRIN),
        body("other", 1, database={"host": "apart"}, **BRIN),
        body("other", 1, namespace="far", **BRIN),
        body("other", 1, deleting=True, **BRIN),
        body("other", 1, server={"port": "no number"}, **BRIN),
    ],
    ids=["schema", "database", "port", "host", "namespace", "deleting", "invalid"],
)
def test_what_is_elsewhere_or_on_its_way_out_does_not_count(other: Manifest) -> None:
    own = body("own", 2)
    assert refused(Sharing(), own, own, other) == ""
    assert users(Sharing(), own, own, other) == []


@pytest.mark.parametrize("host", ["timescaledb.team", "timescaledb.team.svc", "timescaledb.team.svc.cluster.local"])
def test_other_spellings_of_a_services_name_are_the_same_place(host: str) -> None:
    own, other = body("own", 2, **BRIN), body("other", 1, namespace="far", database={"host": host})
    assert "far/other" in refused(Sharing(), own, own, other)


def test_uris_are_told_apart_by_their_secret() -> None:
    def uri(name: str, day: int, secret: str) -> Manifest:
        made = body(name, day)
        made["spec"]["database"] = {"ownerSecretRef": {"name": secret}, "writerSecretRef": {"name": "w"}}
        return made

    own = uri("own", 2, "owner")
    assert users(Sharing(), own, own, uri("other", 1, "owner")) == ["team/other"]
    assert users(Sharing(), own, own, uri("other", 1, "another")) == []


def test_what_was_read_once_is_read_anew_when_its_generation_changes() -> None:
    sharing = Sharing()
    own, other = body("own", 2), body("other", 1)
    assert refused(sharing, own, own, other) == ""
    changed = body("other", 1, **BRIN)
    changed["metadata"]["generation"] = 2
    assert "team/other" in refused(sharing, own, own, changed)
    assert refused(sharing, own, own) == ""


def test_many_are_parsed_once() -> None:
    sharing = Sharing()
    bodies = [body(f"m{number}", 1) for number in range(50)]
    refused(sharing, bodies[0], *bodies)
    for made in bodies[1:]:
        made["spec"] = {"never": "read again"}
    assert len(users(sharing, bodies[0], *bodies)) == 49
