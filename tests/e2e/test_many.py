"""300 Ingestors on one database: quick to converge, silent afterwards, and as quick after a cold restart."""

import json
import logging
import os
import re
import time
from pathlib import Path

import pytest

from support.kube import RELEASE, Site, ingestor, wait_for

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

COUNT = 300
RESYNC_S = 60
CHILDREN_S = 60
RSS_MIB = 200


def test_three_hundred_ingestors(site: Site) -> None:
    site.install_operator(f"operator.resyncSeconds={RESYNC_S}")
    bodies = [
        ingestor(f"many-{number:03}", replicas=0, schema={"name": f"many_{number:03}"}) for number in range(COUNT)
    ]
    started = time.monotonic()
    site.apply(*bodies)
    wait_for(lambda: deployments(site) == COUNT, CHILDREN_S + 120, lambda: f"{deployments(site)} Deployments")
    children_s = time.monotonic() - started
    wait_for(lambda: ready(site) == COUNT, 120, lambda: f"{ready(site)} are Ready")
    ready_s = time.monotonic() - started
    logger.info("children after %.1f s, Ready after %.1f s", children_s, ready_s)
    settle(site)
    assert writes_in_a_resync(site) == 0
    first_mib = rss_mib(site)

    restarted = time.monotonic()
    site.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=60s")
    wait_for(lambda: passes(site) >= COUNT, CHILDREN_S + 60, lambda: f"{passes(site)} passes")
    restart_s = time.monotonic() - restarted
    settle(site)
    assert writes_in_a_resync(site) == 0
    logger.info("cold restart %.1f s, RSS %.0f and %.0f MiB", restart_s, first_mib, rss_mib(site))
    assert children_s <= CHILDREN_S
    assert restart_s <= CHILDREN_S
    assert max(first_mib, rss_mib(site)) <= RSS_MIB


def deployments(site: Site) -> int:
    """Return how many Deployments there are."""
    return site.kubectl("get", "deploy", "-l", "app.kubernetes.io/component=ingest", "-o", "name").count("\n")


def ready(site: Site) -> int:
    """Return how many Ingestors are Ready."""
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return site.kubectl("get", "igst", "-o", f"jsonpath={path}").count("True")


def settle(site: Site) -> None:
    """Wait until a listing has come and gone, with all that it caused."""
    before = metric(site, "ingestor_operator_last_resync_timestamp_seconds")
    wait_for(
        lambda: (
            metric(site, "ingestor_operator_last_resync_timestamp_seconds") > before
            and metric(site, "ingestor_operator_queue_depth") == 0
        ),
        RESYNC_S * 2,
        lambda: "no resync",
    )


def writes_in_a_resync(site: Site) -> int:
    """Return how many writes the API server saw of this operator until everything was looked at once more."""
    log = Path(os.environ["E2E_AUDIT_LOG"])
    start = log.stat().st_size
    before = passes(site)
    wait_for(lambda: passes(site) >= before + COUNT, RESYNC_S * 3, lambda: "no resync")
    with log.open("rb") as file:
        file.seek(start)
        lines = [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
    own = [line for line in lines if line["user"]["username"] == site.operator_account]
    return sum(line["verb"] not in ("get", "list", "watch") for line in own)


def passes(site: Site) -> float:
    """Return how many passes the operator has made since it started."""
    return metric(site, 'ingestor_operator_reconciles_total{result="ok"}')


def rss_mib(site: Site) -> float:
    """Return the operator's resident memory."""
    return metric(site, "process_resident_memory_bytes") / 2**20


def metric(site: Site, name: str) -> float:
    """Return one metric of the operator, 0 where it is not there or nobody answers yet."""
    service = f"{RELEASE}-analytics-ingestor-metrics:8080"
    path = f"/api/v1/namespaces/{site.namespace}/services/{service}/proxy/metrics"
    try:
        text = site.kubectl("get", "--raw", path)
    except AssertionError:
        return 0
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0
