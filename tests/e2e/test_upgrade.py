"""Releases that are one migration apart: each ingests on the other's schema, in an upgrade and in a rollback."""

import pytest

from support.kube import Site, ingestor, wait_for
from support.kube_load import Load, lossless

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

RATE = 1_000
PAUSE_S = 5.0
"""Longest pause between acknowledgements while pods are replaced."""
ROLLED_S = 120.0
MIGRATED_S = 60.0


def test_each_release_ingests_on_the_others_schema(site: Site) -> None:
    current, following = site.images.current, site.images.next
    site.apply(ingestor(replicas=2, image=current))
    site.wait_ready()
    version = _version(site)
    with lossless(Load(site, "releases", RATE), pause_s=PAUSE_S):
        _run(site, following)  # new pods come before the operator that knows their schema
        assert _version(site) == version
        _run(site, current)

        site.install_operator(image=following)
        wait_for(lambda: _version(site) > version, MIGRATED_S, lambda: f"not migrated: {site.conditions()}")
        newer = _version(site)
        assert _images(site) == {current}, "the schema came first, and pods of the old release wrote on"
        _run(site, following)

        site.install_operator(image=current)
        site.wait_condition("SchemaApplied", "Applied", "True")
        _run(site, current)  # pods of the old release start on the schema of the new one
        assert _version(site) == newer, "nothing is taken back: what was added harms nobody"


def _run(site: Site, image: str) -> None:
    """Roll the pods to an image and see them write."""
    site.patch("metrics", {"image": image})
    site.wait_ready(timeout_s=ROLLED_S)
    assert _images(site) == {image}
    behind = _stored(site) + 5 * RATE
    wait_for(lambda: _stored(site) > behind, MIGRATED_S, lambda: f"{image} stores nothing: {site.conditions()}")


def _images(site: Site) -> set[str]:
    pods = site.list("pods", "app.kubernetes.io/component=ingest")
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"]["containers"][0]["image"] for pod in running}


def _version(site: Site) -> int:
    return int(site.sql("SELECT max(version) FROM analytics.migration"))


def _stored(site: Site) -> int:
    return int(site.sql("SELECT count(*) FROM analytics.samples"))
