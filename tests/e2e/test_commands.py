"""What README, chart and runbook tell people to type at a cluster, typed there as it is written."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.files import FILES as DASHBOARDS
from support.docs import ROOT, block, fill, inline, shell
from support.helm import EXAMPLES, objects_of, only
from support.kube import Site, wait_for
from support.prometheus import configured_server, find_prometheus

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
            text = site.example(example.read_text())
            example.write_text(text.replace('"5000"', '"0"'))  # the load as fast as it goes
        self.config = folder / "kubeconfig"
        self.config.write_text(site.kubectl("config", "view", "--raw", "--minify", "--flatten"))
        self._environment = {**os.environ, "KUBECONFIG": str(self.config)}
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
def terminal(bare_site: Site, crd: None, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Go the README's way to Kubernetes."""
    terminal = Terminal(bare_site, tmp_path_factory.mktemp("clone"))
    output = terminal.install(block("README.md", "Kubernetes"))
    assert "ingestor.analytics-ingestor.io/metrics condition met" in output
    assert "analytics.v1.AnalyticsService" in output
    return terminal


def test_the_load_job_stores_a_million_points(terminal: Terminal) -> None:
    terminal.site.kubectl("wait", "--for=condition=complete", "job/metrics-load", "--timeout=240s", timeout_s=250)
    assert terminal.site.sql("SELECT count(*) FROM analytics.metrics") == "1000000"


def test_the_commands_for_when_something_is_wrong_tell_something(terminal: Terminal) -> None:
    output = terminal.type(fill(block("README.md", "Kubernetes", 2), {NAMESPACE: ""}))
    assert "the schema is as asked for" in output
    assert '"database_up": true' in output


def test_the_image_has_our_command(terminal: Terminal) -> None:
    assert "schema" in terminal.type(fill(inline("README.md", "kubectl exec "), {NAMESPACE: ""}))


def test_the_commands_of_the_runbook_tell_something(terminal: Terminal) -> None:
    names = {"NS": terminal.site.namespace, "NAME": "metrics"}
    output = terminal.type(fill(block("docs/runbook.md", "Runbook"), names))
    assert '"database_up": true' in output
    assert "metrics-" in terminal.type(fill(inline("docs/runbook.md", "kubectl get pods -n NS"), names))
    assert "SchemaApplied" in terminal.type(fill(inline("docs/runbook.md", "kubectl describe igst -n NS"), names))
    assert f"{RELEASE}-" in terminal.type(inline("docs/runbook.md", "kubectl get pods -A"))
    assert "kind: Ingestor" in terminal.type(inline("helm/analytics-ingestor/README.md", "kubectl get igst -A"))


def test_the_prometheus_to_try_with_finds_servers_and_operator(terminal: Terminal, tmp_path: Path) -> None:
    """Debian's Prometheus is built without discovery on Kubernetes, so it is told what that would find."""
    site = terminal.site
    example = only(objects_of(EXAMPLES / "monitoring.yaml"), "ConfigMap", "prometheus")
    config = yaml.safe_load(example["data"]["prometheus.yaml"])
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
        job["static_configs"] = discovered(site)
    program = find_prometheus("prometheus")
    with configured_server(program, tmp_path, config) as prometheus:
        servers = f'up{{job="analytics-ingestor", namespace="{site.namespace}", ingestor="metrics"}} == 1'
        wait_for(lambda: len(prometheus.query(servers)) == 2, 40, lambda: f"not found: {prometheus.query('up')}")
        wait_for(lambda: prometheus.query('up{job="ingestor-operator"} == 1'), 40, lambda: "no operator")
        assert len(prometheus.query("up")) == 3, "each pod once, and nothing else"


def discovered(site: Site) -> list[dict[str, Any]]:
    """Return a target for each port of each pod, with the labels that Prometheus gives them by role ``pod``."""
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {
                "__meta_kubernetes_namespace": site.namespace,
                "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                "__meta_kubernetes_pod_container_port_name": port["name"],
                **{
                    f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9_]', '_', name)}": value
                    for name, value in pod["metadata"]["labels"].items()
                },
            },
        }
        for pod in site.list("pods")
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
        if pod["status"].get("podIP")
    ]


def test_grafana_to_try_with_finds_its_dashboards(terminal: Terminal) -> None:
    """Its image can't be had everywhere: the cluster only says that it would take it."""
    apply, _, load, _ = fill(block("README.md", "Kubernetes", 1), {NAMESPACE: ""}).splitlines()
    terminal.type(fill(apply, {"kubectl apply": "kubectl apply --dry-run=server"}))
    assert "job.batch/metrics-load replaced" in terminal.type(load)
    for name in DASHBOARDS:
        assert terminal.site.exists("configmap", f"{RELEASE}-{Path(name).stem}")


def test_the_charts_switches_make_what_they_name(terminal: Terminal) -> None:
    """The kinds of the Prometheus operator are on the cluster only while ``test_pod_monitor`` runs."""
    upgrade, patch = block("helm/analytics-ingestor/README.md", "Watch").split("\nkubectl ")
    rendered = terminal.type(fill(upgrade, {"helm upgrade": "helm template", "--reuse-values": "", NAMESPACE: ""}))
    assert {"kind: PodMonitor", "kind: PrometheusRule", "kind: ConfigMap"} <= {*rendered.splitlines()}
    terminal.type(f"kubectl {patch}")
    assert terminal.site.get("igst", "metrics")["spec"]["observability"]["podMonitor"]["enabled"] is True
    terminal.site.patch("metrics", {"observability": {"podMonitor": {"enabled": False}}})


def test_scale_changes_the_number_of_pods(terminal: Terminal) -> None:
    terminal.type(inline("README.md", "kubectl scale "))
    wait_for(lambda: terminal.site.get("deploy", "metrics")["spec"]["replicas"] == 4, 30, lambda: "not scaled")
    terminal.site.patch("metrics", {"replicas": 1})


def test_a_plan_that_waits_is_read_and_approved(terminal: Terminal) -> None:
    site = terminal.site
    site.sql("INSERT INTO analytics.samples VALUES (now() - interval '30 days', 1, 1)")
    site.patch("metrics", {"schema": {"retention": {"dropAfter": "7d"}}})
    site.wait_condition("SchemaApplied", "ApprovalRequired")
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
    with pytest.raises(AssertionError, match=r"hook|check-uninstall"):
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
