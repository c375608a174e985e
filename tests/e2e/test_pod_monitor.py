"""PodMonitors, on a cluster that has their kind: it is made for the test where it is not there."""

from collections.abc import Iterator

import pytest

from support.kube import Manifest, Site, ingestor, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "podmonitors.monitoring.coreos.com"


@pytest.fixture(scope="module")
def pod_monitors(bare_site: Site) -> Iterator[None]:
    """Make the kind, with the part of its schema that matters here."""
    if bare_site.kubectl("get", "crd", NAME, "--ignore-not-found", "-o", "name"):
        yield
        return
    bare_site.apply(_definition())
    bare_site.wait_established(NAME)
    try:
        yield
    finally:
        bare_site.kubectl("delete", "crd", NAME)


def test_a_pod_monitor_comes_and_goes_with_its_switch(bare_site: Site, crd: None, pod_monitors: None) -> None:
    site = bare_site
    site.install_operator("podMonitors.enabled=true")
    site.start_database()
    monitor = {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}
    site.apply(ingestor(observability={"podMonitor": monitor}))
    site.wait_ready()
    found = site.get("podmonitor", "metrics")
    assert found["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = found["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("http", "/metrics", "15s")
    assert {rule["targetLabel"] for rule in endpoint["relabelings"]} == {"job", "ingestor"}

    site.kubectl("delete", "podmonitor", "metrics")
    wait_for(lambda: site.exists("podmonitor", "metrics"), 20, lambda: "the deleted PodMonitor was not made anew")
    site.patch("metrics", {"observability": {"podMonitor": {"interval": "20s"}}})
    wait_for(lambda: _interval(site) == "20s", 20, lambda: _interval(site))
    site.patch("metrics", {"observability": {"podMonitor": {"enabled": False}}})
    wait_for(lambda: not site.exists("podmonitor", "metrics"), 20, lambda: "the PodMonitor stays")


def _interval(site: Site) -> str:
    return str(site.get("podmonitor", "metrics")["spec"]["podMetricsEndpoints"][0]["interval"])


def _definition() -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": NAME,
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
        },
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
