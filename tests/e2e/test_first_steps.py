"""The README's door to Kubernetes, from nothing to rows, and what an on-call person sees."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.docs import fill
from support.kube import CHART, EXAMPLES, RELEASE, Site, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

GRPCURL = (str(Path(sys.executable).with_name("grpcurl")), "-plaintext")


@pytest.fixture(scope="module")
def installed(bare_site: Site) -> Site:
    """Install and apply in one go, as the README does; applying does not wait for the database."""
    repository, _, tag = bare_site.images.current.rpartition(":")
    started = time.monotonic()
    bare_site.helm(
        "install", RELEASE, str(CHART), "--set", "scope=Namespace", "--take-ownership", "--force-conflicts",
        "--set", f"image.repository={repository}", "--set", f"image.tag={tag}",
    )  # fmt: skip
    bare_site.apply_example("timescaledb.yaml")
    bare_site.kubectl("apply", "-f", str(EXAMPLES / "ingestor.yaml"))
    bare_site.wait_ready(timeout_s=90)
    assert time.monotonic() - started <= 90
    return bare_site


def test_a_load_job_through_the_headless_service_stores_every_point(installed: Site) -> None:
    job = installed.example((EXAMPLES / "load-job.yaml").read_text())
    installed.kubectl("apply", "-f", "-", stdin=fill(job, {'"5000"': '"0"'}))  # as fast as it goes
    installed.kubectl("wait", "--for=condition=complete", "job/metrics-load", "--timeout=240s", timeout_s=250)
    log = installed.kubectl("logs", "job/metrics-load")
    assert "1,000,000" in log
    assert installed.sql("SELECT count(*) FROM analytics.metrics") == "1000000"
    pods = installed.sql("SELECT count(DISTINCT client_addr) FROM pg_stat_activity WHERE usename = 'analytics_writer'")
    assert pods == "2", "both pods write"


def test_grpcurl_works_through_a_port_forward(installed: Site) -> None:
    with installed.port_forward("svc/metrics", 50051) as port:
        address = f"127.0.0.1:{port}"
        assert "analytics.v1.AnalyticsService" in grpcurl(address, "list")
        point = '{"service_name": "web", "metric_name": "hits", "value": 3}'
        assert json.loads(grpcurl("-d", point, address, "analytics.v1.AnalyticsService/LogMetric")) == {"success": True}
        health = grpcurl("-d", '{"service": "database"}', address, "grpc.health.v1.Health/Check")
        assert json.loads(health) == {"status": "SERVING"}
    assert installed.sql("SELECT value FROM analytics.metrics WHERE service_name = 'web'") == "3"


def test_get_describe_and_explain_tell_what_is_going_on(installed: Site) -> None:
    table = installed.kubectl("get", "igst")
    assert re.search(r"NAME +READY +REASON +REPLICAS +DESIRED +SCHEMA +AGE\n", table)
    assert re.search(r"metrics +True +Ready +2 +2 +Applied ", table)
    text = installed.kubectl("describe", "igst", "metrics")
    for words in (
        "no pod reports trouble",
        "all 2 pods are of this generation",
        "the schema is as asked for",
        "survives a crash",
        "Normal",
    ):
        assert words in text
    explained = installed.kubectl("explain", "igst.spec.schema.reclaimPolicy")
    assert "Retain" in explained
    assert "drops what the" in explained


def test_helm_test_passes(installed: Site) -> None:
    assert "Succeeded" in installed.helm("test", RELEASE)


def test_pods_have_no_token_and_everything_satisfies_restricted(installed: Site) -> None:
    pods = installed.list("pods", "app.kubernetes.io/component=ingest")
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not [volume for volume in pod["spec"].get("volumes", []) if "projected" in volume]


def test_a_converged_ingestor_is_not_written_again(installed: Site) -> None:
    """Versions stay the same over several looks at the pods, which come every 15 s."""

    def versions() -> dict[str, str]:
        kinds = "igst,deploy,svc,sa,pdb,netpol"
        items = json.loads(installed.kubectl("get", kinds, "-o", "json"))["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}

    before, looks = versions(), reconciles(installed)
    wait_for(lambda: reconciles(installed) >= looks + 3, 90, lambda: "the operator does not look at its pods")
    assert versions() == before


def reconciles(site: Site) -> int:
    """Return how many passes the operator has made."""
    metrics = site.kubectl(
        "get",
        "--raw",
        f"/api/v1/namespaces/{site.namespace}/services/{RELEASE}-analytics-ingestor-metrics:8080/proxy/metrics",
    )
    found = re.search(r'^ingestor_operator_reconciles_total\{result="ok"\} (\d+)', metrics, re.MULTILINE)
    return int(found[1]) if found else 0


def grpcurl(*arguments: str) -> str:
    """Run grpcurl and return what it prints."""
    done = subprocess.run([*GRPCURL, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
