"""What is known of the cluster: the newest of what watches, listings and own writes bring."""

from typing import Any

from ingestor_operator.cache import Cache, owner_key
from ingestor_operator.manifests.children import DEPLOYMENTS, SERVICE_ACCOUNTS
from ingestor_operator.manifests.facts import INSTANCE_LABEL, Manifest

KEY = ("team", "metrics")


def ingestor(version: int | str = 1, name: str = "metrics", uid: str = "uid-1", **more: Any) -> Manifest:
    """Return an Ingestor at a version."""
    metadata = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Ingestor", "metadata": metadata, **more}


def child(version: int = 1, name: str = "metrics", owner: str = "metrics", kind: str = "Deployment") -> Manifest:
    """Return a child at a version."""
    labels = {INSTANCE_LABEL: owner}
    metadata = {
        "namespace": "team", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "labels": labels,
    }  # fmt: skip
    return {"kind": kind, "metadata": metadata}


def test_older_and_known_versions_are_no_news() -> None:
    cache = Cache()
    assert cache.put_ingestor(ingestor(9)) == KEY
    assert cache.put_ingestor(ingestor(9)) is None
    assert cache.put_ingestor(ingestor(8)) is None  # as a number; as a text 10 would be older than 9
    assert cache.put_ingestor(ingestor(10)) == KEY
    assert cache.ingestor(KEY) == ingestor(10)


def test_another_object_of_the_name_is_news_whatever_its_version() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(9))
    assert cache.put_ingestor(ingestor(3, uid="uid-2")) == KEY


def test_versions_that_are_no_numbers_count_as_they_come() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor("abc"))
    assert cache.put_ingestor(ingestor("abb")) == KEY


def test_a_deletion_is_news_once() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(1))
    assert cache.put_ingestor(ingestor(2), deleted=True) == KEY
    assert cache.put_ingestor(ingestor(2), deleted=True) is None
    assert cache.ingestor(KEY) is None


def test_the_late_news_of_a_deletion_does_not_concern_what_followed() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(5, uid="uid-2"))
    assert cache.put_ingestor(ingestor(4, uid="uid-1"), deleted=True) is None
    assert cache.ingestor(KEY) is not None


def test_children_belong_to_whom_their_label_names() -> None:
    cache = Cache()
    assert cache.put_child(DEPLOYMENTS, child(1)) == KEY
    assert cache.put_child(DEPLOYMENTS, child(1)) is None
    assert cache.child(KEY, "Deployment", "metrics") == child(1)
    assert cache.put_child(DEPLOYMENTS, child(1, name="b", owner="b")) == ("team", "b")
    assert set(cache.children(KEY)) == {("Deployment", "metrics")}
    assert cache.put_child(DEPLOYMENTS, child(2), deleted=True) == KEY
    assert cache.put_child(DEPLOYMENTS, child(2), deleted=True) is None
    assert cache.children(KEY) == {}


def test_an_object_without_the_label_is_nobodys() -> None:
    body = child()
    del body["metadata"]["labels"]
    assert owner_key(body) is None
    assert Cache().put_child(DEPLOYMENTS, body) is None


def test_a_listing_replaces_all_and_names_everybody_who_is_or_was_there() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(1, "gone"))
    cache.put_ingestor(ingestor(5, "stays"))
    cache.begin_listing()
    keys = cache.replace_ingestors([ingestor(5, "stays"), ingestor(6, "new")])
    assert keys == {("team", "gone"), ("team", "stays"), ("team", "new")}
    assert {body["metadata"]["name"] for body in cache.ingestors()} == {"stays", "new"}


def test_a_listing_of_one_kind_leaves_the_others() -> None:
    cache = Cache()
    cache.put_child(DEPLOYMENTS, child(1))
    cache.put_child(SERVICE_ACCOUNTS, child(1, kind="ServiceAccount"))
    cache.begin_listing()
    cache.replace_children(DEPLOYMENTS, [child(2, name="b", owner="b")])
    assert set(cache.children(KEY)) == {("ServiceAccount", "metrics")}
    assert set(cache.children(("team", "b"))) == {("Deployment", "b")}


def test_a_listing_never_brings_back_an_older_version() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(5))
    cache.begin_listing()
    cache.replace_ingestors([ingestor(4)])
    assert cache.ingestor(KEY) == ingestor(5)


def test_what_is_made_while_a_listing_is_under_way_is_kept() -> None:
    cache = Cache()
    cache.begin_listing()
    cache.put_ingestor(ingestor(7))
    cache.put_child(DEPLOYMENTS, child(8))
    cache.replace_children(DEPLOYMENTS, [])
    cache.replace_ingestors([])
    assert cache.ingestor(KEY) is not None
    assert cache.child(KEY, "Deployment", "metrics") is not None
    cache.begin_listing()
    cache.replace_children(DEPLOYMENTS, [])
    cache.replace_ingestors([])
    assert cache.ingestor(KEY) is None
    assert cache.children(KEY) == {}


def test_what_is_deleted_while_a_listing_is_under_way_does_not_come_back() -> None:
    cache = Cache()
    cache.put_ingestor(ingestor(1))
    cache.put_child(DEPLOYMENTS, child(1))
    cache.begin_listing()
    cache.put_ingestor(ingestor(2), deleted=True)
    cache.put_child(DEPLOYMENTS, child(2), deleted=True)
    cache.replace_children(DEPLOYMENTS, [child(1)])
    cache.replace_ingestors([ingestor(1)])
    assert cache.ingestors() == []
    assert cache.children(KEY) == {}
