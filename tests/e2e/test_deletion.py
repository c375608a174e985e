"""What goes and what stays when an Ingestor, the operator or the release goes, and what an upgrade replaces."""

import json
import time

import pytest

from support.kube import RELEASE, CommandError, Site, ingestor, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

CHILDREN = "deploy,svc,sa,pdb,netpol,hpa,pods"
INGEST = "app.kubernetes.io/component=ingest"


def test_a_deleted_ingestor_leaves_its_data(site: Site) -> None:
    site.apply(ingestor("kept", schema={"name": "kept"}))
    site.wait_ready("kept")
    store_a_point(site, "kept")
    site.kubectl("delete", "igst", "kept", "--timeout=60s")
    wait_until_gone(site, "kept")
    assert site.sql("SELECT count(*) FROM kept.metrics") == "1"

    site.apply(ingestor("kept", schema={"name": "kept"}))
    site.wait_ready("kept")
    assert site.sql("SELECT count(*) FROM kept.metrics") == "1", "a new Ingestor adopts what is there"
    site.kubectl("delete", "igst", "kept", "--timeout=60s")


def test_reclaim_policy_delete_drops_what_is_ours_and_nothing_else(site: Site) -> None:
    site.apply(ingestor("gone", schema={"name": "gone", "reclaimPolicy": "Delete"}))
    site.wait_ready("gone")
    store_a_point(site, "gone")
    site.sql("CREATE TABLE gone.mine (note text); INSERT INTO gone.mine VALUES ('keep me')")
    site.kubectl("delete", "igst", "gone", "--timeout=90s")
    wait_until_gone(site, "gone")
    assert site.sql("SELECT string_agg(relname, ',') FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                    " WHERE nspname = 'gone' AND relkind IN ('r', 'v')") == "mine"  # fmt: skip
    assert site.sql("SELECT note FROM gone.mine") == "keep me"


def test_a_schema_that_another_ingestor_uses_stays(site: Site) -> None:
    spec = {"schema": {"name": "shared", "reclaimPolicy": "Delete"}, "replicas": 0}
    site.apply(ingestor("first", **spec), ingestor("second", **spec))
    site.wait_ready("first")
    site.wait_ready("second")
    site.kubectl("delete", "igst", "first", "--timeout=60s")
    assert site.sql("SELECT count(*) FROM shared.metrics") == "0"
    assert "SchemaKept" in site.kubectl("get", "events", "--field-selector=involvedObject.name=first")
    site.kubectl("delete", "igst", "second", "--timeout=60s")
    assert site.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'shared'") == "0"


def test_a_deletion_that_cannot_reach_the_database_says_the_way_out(site: Site) -> None:
    site.apply(ingestor("stuck", schema={"name": "stuck", "reclaimPolicy": "Delete"}, replicas=0))
    site.wait_ready("stuck")
    site.patch("stuck", {"database": {"host": "nowhere"}})
    site.kubectl("delete", "igst", "stuck", "--wait=false")
    condition = site.wait_condition("Ready", "DeletionBlocked", name="stuck")
    assert "Retain" in condition["message"]
    site.patch("stuck", {"schema": {"reclaimPolicy": "Retain"}})
    site.kubectl("wait", "--for=delete", "igst/stuck", "--timeout=40s")


def test_a_foreign_object_of_the_same_name_is_left_alone(site: Site) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "theirs"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    site.apply(service)
    site.apply(ingestor("theirs", schema={"name": "theirs"}))
    condition = site.wait_condition("Progressing", "Conflict", name="theirs")
    assert "Service theirs" in condition["message"]
    assert site.get("service", "theirs")["spec"]["selector"] == {"app": "theirs"}
    site.kubectl("delete", "igst/theirs", "--timeout=60s")
    assert site.exists("service", "theirs")
    site.kubectl("delete", "service", "theirs")


def test_an_upgrade_of_the_operator_rolls_one_ingestor_at_a_time(site: Site) -> None:
    names = ["one", "two", "three"]
    site.apply(*(ingestor(name, schema={"name": "upgraded"}) for name in names))
    for name in names:
        site.wait_ready(name)
    site.install_operator(image=site.images.next)
    most_at_once = 0

    def upgraded() -> bool:
        nonlocal most_at_once
        rolling = 0
        done = 0
        for body in site.list("deploy", INGEST):
            status = body.get("status") or {}
            images = body["spec"]["template"]["spec"]["containers"][0]["image"]
            complete = status.get("updatedReplicas") == status.get("replicas") == status.get("availableReplicas") == 1
            done += images == site.images.next and complete
            rolling += images == site.images.next and not complete
        most_at_once = max(most_at_once, rolling)
        return done == len(names)

    wait_for(upgraded, 150, lambda: f"not upgraded: {site.kubectl('get', 'igst,pods')}")
    assert most_at_once == 1
    for name in names:
        site.wait_ready(name)
    site.install_operator()
    site.kubectl("delete", "igst", *names, "--timeout=60s")


def test_uninstalling_keeps_everything_and_reinstalling_adopts_it(site: Site) -> None:
    site.apply(ingestor("stays", schema={"name": "stays"}))
    site.wait_ready("stays")
    store_a_point(site, "stays")
    site.apply(ingestor("held", schema={"name": "held", "reclaimPolicy": "Delete"}, replicas=0))
    site.wait_ready("held")
    with pytest.raises(CommandError):
        site.helm("uninstall", RELEASE)
    assert "held" in site.kubectl("logs", "-l", "app.kubernetes.io/component=check-uninstall", "--tail=-1")
    site.patch("held", {"schema": {"reclaimPolicy": "Retain"}})
    wait_for(lambda: not site.get("igst", "held")["metadata"].get("finalizers"), 30, lambda: "finalizer stays")

    site.helm("uninstall", RELEASE)
    pods = {pod["metadata"]["uid"] for pod in site.list("pods", INGEST)}
    assert len(pods) == 1, "pods serve on without an operator"
    assert site.exists("crd", "ingestors.analytics-ingestor.io")
    site.kubectl("delete", "igst", "held", "--timeout=30s")
    assert site.sql("SELECT count(*) FROM stays.metrics") == "1"

    site.install_operator()
    site.patch("stays", {"observability": {"logLevel": "WARNING"}})
    site.kubectl("wait", "--for=condition=Ready", "igst/stays", "--timeout=90s")
    assert {pod["metadata"]["uid"] for pod in site.list("pods", INGEST)} != pods, "the operator works on"


def test_drift_is_repaired_and_what_others_add_stays(site: Site) -> None:
    site.apply(ingestor("drift", schema={"name": "drift"}, autoscaling={"minReplicas": 1, "maxReplicas": 2}))
    site.wait_ready("drift")
    site.kubectl("set", "env", "deploy/drift", "EXTRA=1", "INGESTOR_ACK=buffered")
    site.kubectl("delete", "svc/drift-headless", "pdb/drift")
    site.kubectl("annotate", "deploy/drift", "example.com/note=mine")

    def repaired() -> bool:
        deployment = json.loads(site.kubectl("get", "deploy", "drift", "-o", "json"))
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        environment = {item["name"]: item.get("value") for item in container["env"]}
        return environment["INGESTOR_ACK"] == "committed" and site.exists("svc", "drift-headless") and site.exists(
            "pdb", "drift"
        ) and environment["EXTRA"] == "1" and "example.com/note" in deployment["metadata"]["annotations"]  # fmt: skip

    wait_for(repaired, 30, lambda: site.kubectl("get", CHILDREN))
    assert site.exists("hpa", "drift")
    site.kubectl("patch", "igst", "drift", "--type=json", "-p", '[{"op": "remove", "path": "/spec/autoscaling"}]')
    off = {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}}
    site.patch("drift", off)
    wait_for(
        lambda: not any(site.exists(kind, "drift") for kind in ("hpa", "netpol", "pdb")), 30, lambda: "not removed"
    )
    site.kubectl("delete", "igst", "drift", "--timeout=60s")


def store_a_point(site: Site, name: str) -> None:
    """Send one point from within an ingest pod, and see it committed."""
    pod = site.list("pods", f"{INGEST},app.kubernetes.io/instance={name}")[0]["metadata"]["name"]
    load = ("ingestor", "load", "--target", "localhost:50051", "--points", "1", "--series", "1", "--form", "rows")
    site.kubectl("exec", pod, "-c", "ingestor", "--", *load)


def wait_until_gone(site: Site, name: str) -> None:
    """Wait until nothing is left of an Ingestor in the namespace."""
    started = time.monotonic()
    selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/name=analytics-ingestor"
    left = ("get", CHILDREN, "-l", f"{selector},{INGEST}", "-o", "name")
    wait_for(lambda: not site.kubectl(*left).strip(), 90, lambda: site.kubectl(*left))
    assert time.monotonic() - started < 90
