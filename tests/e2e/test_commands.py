"""What README, chart and runbook tell people to type at a cluster, typed there as it is written."""

import os
import shutil
from pathlib import Path

import pytest

from support.docs import ROOT, block, fill, inline, shell
from support.kube import Site, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

RELEASE = "analytics-ingestor"
NAMESPACE = "-n analytics-ingestor"


class Terminal:
    """A shell whose kubectl and helm look at the site's namespace, in a copy of what a clone has."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self._folder = folder
        shutil.copytree(ROOT / "helm", folder / "helm")
        for example in (folder / "helm" / "examples").iterdir():
            example.write_text(site.images.substitute(example.read_text()))
        config = folder / "kubeconfig"
        config.write_text(site.kubectl("config", "view", "--raw", "--minify", "--flatten"))
        self._environment = {**os.environ, "KUBECONFIG": str(config)}
        self.type(f"kubectl config set-context --current --namespace={site.namespace}")

    def type(self, script: str, timeout_s: float = 200) -> str:
        """Return what the commands print."""
        return shell(script, self._folder, self._environment, timeout_s)

    def install(self, script: str) -> str:
        """Install with the image under test, for this namespace alone, and leave the CRD as it is."""
        repository, _, tag = self.site.images.current.rpartition(":")
        values = f"scope=Namespace,crds.create=false,image.repository={repository},image.tag={tag}"
        return self.type(fill(script, {f"{NAMESPACE} --create-namespace": f"--set {values}"}))


@pytest.fixture(scope="module")
def terminal(bare_site: Site, crd: None, tmp_path_factory: pytest.TempPathFactory, accounts: list[str]) -> Terminal:
    """Go the README's way to Kubernetes."""
    accounts.append(f"system:serviceaccount:{bare_site.namespace}:{RELEASE}")
    terminal = Terminal(bare_site, tmp_path_factory.mktemp("clone"))
    output = terminal.install(block("README.md", "Kubernetes"))
    assert "ingestor.analytics-ingestor.io/metrics condition met" in output
    assert "analytics.v1.AnalyticsService" in output
    return terminal


def test_the_load_job_stores_a_million_points(terminal: Terminal) -> None:
    terminal.site.kubectl("wait", "--for=condition=complete", "job/metrics-load", "--timeout=240s", timeout_s=250)
    assert terminal.site.sql("SELECT count(*) FROM analytics.metrics") == "1000000"


def test_the_commands_for_when_something_is_wrong_tell_something(terminal: Terminal) -> None:
    output = terminal.type(fill(block("README.md", "Kubernetes", 1), {NAMESPACE: ""}))
    assert "the schema is as asked for" in output
    assert '"database_up": true' in output


def test_the_commands_of_the_runbook_tell_something(terminal: Terminal) -> None:
    names = {"NS": terminal.site.namespace, "NAME": "metrics"}
    output = terminal.type(fill(block("docs/runbook.md", "Runbook"), names))
    assert '"database_up": true' in output
    assert "metrics-" in terminal.type(fill(inline("docs/runbook.md", "kubectl get pods -n NS"), names))
    assert "SchemaApplied" in terminal.type(fill(inline("docs/runbook.md", "kubectl describe igst -n NS"), names))
    assert f"{RELEASE}-" in terminal.type(inline("docs/runbook.md", "kubectl get pods -A"))
    assert "kind: Ingestor" in terminal.type(inline("helm/analytics-ingestor/README.md", "kubectl get igst -A"))


def test_scale_changes_the_number_of_pods(terminal: Terminal) -> None:
    terminal.type(inline("README.md", "kubectl scale "))
    wait_for(lambda: terminal.site.get("deploy", "metrics")["spec"]["replicas"] == 4, 30, lambda: "not scaled")
    terminal.site.patch("metrics", {"replicas": 1})


def test_a_plan_that_waits_is_read_and_approved(terminal: Terminal) -> None:
    site = terminal.site
    site.sql("INSERT INTO analytics.samples VALUES (now() - interval '30 days', 1, 1)")
    site.patch("metrics", {"schema": {"retention": {"dropAfter": "7d"}}})
    site.wait_condition("SchemaApplied", "PlanPending")
    names = {"NS": site.namespace, "NAME": "metrics"}
    assert "retention" in terminal.type(fill(inline("docs/runbook.md", "kubectl get configmap -n NS"), names))
    waiting = site.get("igst", "metrics")["status"]["schema"]["pendingPlan"]["hash"]
    terminal.type(fill(inline("README.md", "kubectl patch igst metrics --type merge"), {"HASH": waiting}))
    site.wait_condition("SchemaApplied", "Applied", "True")
    assert site.sql("SELECT min(time) > now() - interval '9 days' FROM analytics.samples") == "t"


def test_an_ingestor_is_left_to_itself(terminal: Terminal) -> None:
    terminal.type(inline("README.md", "kubectl patch igst metrics --type=merge"))
    terminal.site.wait_condition("Ready", "Unmanaged", "Unknown")
    terminal.site.patch("metrics", {"managementState": "Managed"})
    terminal.site.wait_ready()


def test_an_uninstall_that_is_stopped_has_the_ways_out_that_the_chart_names(terminal: Terminal) -> None:
    site = terminal.site
    site.patch("metrics", {"schema": {"reclaimPolicy": "Delete"}})
    wait_for(lambda: site.get("igst", "metrics")["metadata"].get("finalizers"), 30, lambda: "no finalizer")
    uninstall = fill(block("helm/analytics-ingestor/README.md", "Uninstall"), {NAMESPACE: ""})
    with pytest.raises(AssertionError, match="hook"):
        terminal.type(uninstall)
    revision = (
        terminal.type(inline("helm/analytics-ingestor/README.md", "helm list --uninstalling"))
        .splitlines()[1]
        .split()[2]
    )
    terminal.type(fill(inline("helm/analytics-ingestor/README.md", "helm rollback "), {"REVISION": revision}))
    terminal.type(
        uninstall.replace("helm uninstall", inline("helm/analytics-ingestor/README.md", "helm uninstall --no-hooks"))
    )
    terminal.type(
        fill(inline("helm/analytics-ingestor/README.md", "kubectl patch igst NAME"), {"NAME": "metrics"})
        + "\nkubectl delete igst metrics --timeout=30s"
    )
    assert site.sql("SELECT count(*) > 0 FROM analytics.metrics") == "t"


def test_the_charts_way_to_install_ends_with_a_ready_ingestor(terminal: Terminal) -> None:
    """After the uninstall: it adopts what is there."""
    terminal.site.kubectl("delete", "job", "--all")
    script = block("helm/analytics-ingestor/README.md", "Install")
    output = terminal.install(
        fill(script, {f"helm test analytics-ingestor {NAMESPACE}": "helm test analytics-ingestor"})
    )
    assert "Succeeded" in output
    assert "condition met" in output
