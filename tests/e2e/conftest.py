"""A namespace for each module of tests, on the cluster of ``E2E_CONTEXT``: made here, and removed in every case."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator

import pytest

from support.kube import CHART, CommandError, Images, Site

MARK = "analytics-ingestor.io/e2e"
RUN = os.environ.get("E2E_RUN") or secrets.token_hex(3)
"""Last part of the names of this run's namespaces. `make e2e` sets it, because a run has several processes."""
PROCESS = f"{RUN}.{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
"""Label of the namespaces that this process made."""
FIRST = ("test_no_loss", "test_upgrade", "test_deletion")
"""The modules that take longest: begun last, one of them would go on when the other processes have nothing to do."""
LAST = "test_rights"
"""Looks at all that the operators of the other modules did."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest modules first, and the one that judges the others at the end."""
    items.sort(key=lambda item: (item.path.stem not in FIRST, item.path.stem == LAST))


@pytest.fixture(scope="session")
def context() -> str:
    """Return the kube context that was named on purpose; there is no default."""
    name = os.environ.get("E2E_CONTEXT")
    assert name, "name the cluster to test on: make e2e E2E_CONTEXT=<kube context>"
    return name


@pytest.fixture(scope="session")
def run() -> str:
    """Return the last part of the names of this run's namespaces."""
    return RUN


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(context: str) -> Iterator[None]:
    """Wait at the end for the namespaces to go; the next module need not."""
    yield
    site = Site(context, "default", Images.from_environment())
    site.kubectl("wait", "--for=delete", "namespace", "-l", f"{MARK}={PROCESS}", "--timeout=120s", timeout_s=130)


@pytest.fixture(scope="session")
def crd(context: str) -> None:
    """Install this version's CRD, whoever installed it before."""
    site = Site(context, "default", Images.from_environment())
    site.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "files" / "crds" / "ingestors.yaml"))
    site.wait_established("ingestors.analytics-ingestor.io")


def free_volumes(site: Site) -> None:
    """Let volumes be bound again whose claims went with earlier namespaces: a small cluster has few, and keeps them."""
    for volume in site.list("pv"):
        claim = volume["spec"].get("claimRef") or {}
        if volume["status"]["phase"] == "Released" and claim.get("namespace", "").startswith("e2e-"):
            seen = {"metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]}, "spec": {"claimRef": None}}
            with contextlib.suppress(CommandError):  # another process was faster
                site.kubectl("patch", "pv", volume["metadata"]["name"], "--type=merge", "-p", json.dumps(seen))


@pytest.fixture(scope="module")
def bare_site(context: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Return an empty namespace that enforces pod security ``restricted``."""
    name = f"e2e-{request.module.__name__.rpartition('.')[2].removeprefix('test_').replace('_', '-')}"
    site = Site(context, f"{name}-{RUN}", Images.from_environment())
    site.kubectl("create", "namespace", site.namespace)
    labels = ("pod-security.kubernetes.io/enforce=restricted", f"{MARK}={PROCESS}")
    site.kubectl("label", "namespace", site.namespace, *labels)
    free_volumes(site)
    try:
        yield site
    finally:
        # The operator may be gone: nobody else would take its finalizers off.
        for body in site.list("igst"):
            site.kubectl(
                "patch", "igst", body["metadata"]["name"], "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
            )
        site.kubectl("delete", "namespace", site.namespace, "--wait=false")


@pytest.fixture(scope="module")
def site(bare_site: Site, crd: None) -> Site:
    """Return a namespace with a database and an operator of its own."""
    bare_site.install_operator()
    bare_site.start_database()
    return bare_site
