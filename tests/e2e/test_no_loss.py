"""Under load with keys, whatever happens to pods and database: no acked point is lost, none is stored twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from support.kube import CommandError, Manifest, Site, ingestor, wait_for
from support.kube_load import Load, lossless

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

INGEST = "app.kubernetes.io/component=ingest"
OPERATOR = "app.kubernetes.io/component=operator"

PAUSE_S = 5.0
DATABASE_PAUSE_S = 30.0
"""Longest time without an acknowledgement while one thing is lost."""

SERVING_S = 90.0
"""For pods to come and go: each is looked at for 10 s before it counts, and may drain for 25 s."""

BUSY_S = 90.0
"""For clients to learn of new pods: connections live for 66 s at most, and names are asked for every 5 s at most."""

ANSWER_S = 10.0
"""For a server to commit something."""

SCALING_S = 90.0
"""For the autoscaler to see what the pods use and to act on it."""

RATE = 1_000
HEAVY_RATE = 100_000
"""Points per second."""

DATABASE = "timescaledb-0"
KILLED = 128 + 9
"""Exit code of what SIGKILL ended."""


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    """Start an Ingestor, on a database whose processes can be killed from inside of its pod."""
    # A container's first process can't be killed from inside, unless processes are shared in the pod: then it isn't
    # the first any more.
    site.kubectl(
        "patch", "statefulset", "timescaledb", "-p", '{"spec": {"template": {"spec": {"shareProcessNamespace": true}}}}'
    )
    site.kubectl("rollout", "status", "statefulset/timescaledb", "--timeout=60s")
    # New pods get their share only as connections age; then those that go have some to lose.
    site.apply(ingestor(replicas=2, server={"limits": {"connectionAge": "10s"}}))
    wait_serving(site, 2)
    return site


def test_scaling_by_hand_loses_nothing(served: Site) -> None:
    """Not even points that were acked as buffered only: a pod that goes stores what it holds."""
    loads = (
        Load(served, "scale-rows", RATE),
        Load(served, "scale-single", 100, form="single", batch=1),
        Load(served, "scale-buffered", 100, form="single", batch=1, ack="buffered"),
    )
    with lossless(*loads, pause_s=PAUSE_S):
        for replicas in (4, 2):
            served.kubectl("scale", "igst", "metrics", f"--replicas={replicas}")
            wait_serving(served, replicas)
            wait_busy(served)


def test_an_autoscaler_that_scales_up_and_down_loses_nothing(served: Site) -> None:
    served.patch("metrics", {"autoscaling": AUTOSCALING})
    with lossless(Load(served, "autoscaled", RATE), pause_s=PAUSE_S):
        with lossless(Load(served, "heavy", HEAVY_RATE, form="columns", batch=500), pause_s=PAUSE_S):
            wait_for(lambda: asked_replicas(served) > 2, SCALING_S, lambda: autoscaler(served))
            wait_serving(served)
            wait_busy(served)
        wait_for(lambda: asked_replicas(served) == 2, SCALING_S, lambda: autoscaler(served))
        wait_serving(served, 2)
    served.patch("metrics", {"autoscaling": None, "replicas": 2})


def test_a_rolling_image_change_loses_nothing(served: Site) -> None:
    with lossless(Load(served, "rolling", RATE), pause_s=PAUSE_S):
        # From here on with connections as old as by default, which learn of new pods last.
        served.patch("metrics", {"image": served.images.next, "server": None})
        wait_serving(served, 2, served.images.next)


def test_the_loss_of_the_operator_in_the_middle_of_a_rollout_loses_nothing(served: Site) -> None:
    before = names(served, OPERATOR)
    with lossless(Load(served, "operator", RATE), pause_s=PAUSE_S):
        served.patch("metrics", {"image": served.images.current})
        wait_for(lambda: len(names(served, INGEST)) > 2, SERVING_S, lambda: "no pod of the other image comes")
        served.kubectl("delete", "pod", "-l", OPERATOR)
        wait_serving(served, 2, served.images.current)
    assert not before & names(served, OPERATOR)


def test_the_deletion_of_every_pod_in_turn_loses_nothing(served: Site) -> None:
    before = names(served, INGEST)
    with lossless(Load(served, "deletion", RATE), pause_s=PAUSE_S):
        for name in sorted(before):
            wait_busy(served)
            served.kubectl("delete", "pod", name)
            wait_serving(served, 2)
    assert not before & names(served, INGEST)


def test_killing_every_server_in_turn_loses_nothing(served: Site) -> None:
    """SIGKILL during commits whose answers never leave: the next server knows the points by their keys."""
    with lossless(Load(served, "killed", RATE), pause_s=PAUSE_S) as reports:
        for pod in served.list("pods", INGEST):
            wait_busy(served)
            with unanswered_commits(served, pod["status"]["podIP"]):
                kill_server(served, pod["metadata"]["name"])
            wait_killed(served, pod["metadata"]["name"])
            wait_serving(served, 2)
    assert reports[0]["points_duplicate"] > 0, "no server was killed during a commit"


def test_killing_the_database_loses_nothing(served: Site) -> None:
    """SIGKILL to the postmaster: its container ends, and the next one recovers from the write-ahead log."""
    with lossless(Load(served, "database", RATE), pause_s=DATABASE_PAUSE_S):
        kill_database(served)
        wait_killed(served, DATABASE)
        served.kubectl("wait", "--for=condition=Ready", f"pod/{DATABASE}", "--timeout=60s")
    wait_serving(served, 2)


AUTOSCALING = {
    "minReplicas": 2,
    "maxReplicas": 4,
    "targetCPUUtilizationPercentage": 200,
    "behavior": {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}],
        },
    },
}
"""Fast both ways, as no one should do it: pods come and go within seconds of a change in load."""


def wait_serving(site: Site, replicas: int | None = None, image: str | None = None) -> None:
    """Wait until the Ingestor is Ready for what is asked for now, and its pods are exactly those that should be."""

    def reached() -> bool:
        if site.conditions().get("Ready", {}).get("status") != "True":
            return False
        pods = site.list("pods", INGEST)
        wanted = asked_replicas(site) if replicas is None else replicas
        good = all(serving(pod) for pod in pods)
        images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
        return good and len(pods) == wanted and (image is None or images == {image})

    wait_for(reached, SERVING_S, lambda: site.kubectl("get", "igst,pods") + str(site.conditions()))


def wait_busy(site: Site) -> None:
    """Wait until every pod has got points since this call began: each that goes away takes connections with it."""
    before = received(site)

    def reached() -> bool:
        return all(points > before.get(name, 0) for name, points in received(site).items())

    wait_for(reached, BUSY_S, lambda: f"not every pod gets points: {before} {received(site)}")


def received(site: Site) -> dict[str, int]:
    """Return the points that each serving pod received since it started."""
    path = f"/api/v1/namespaces/{site.namespace}/pods/{{}}:9090/proxy/status"
    pods = [pod["metadata"]["name"] for pod in site.list("pods", INGEST) if serving(pod)]
    return {name: int(json.loads(site.kubectl("get", "--raw", path.format(name)))["received"]) for name in pods}


def serving(pod: Manifest) -> bool:
    """Tell whether a pod is ready and stays."""
    conditions = pod["status"].get("conditions", [])
    is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


def names(site: Site, selector: str) -> set[str]:
    """Return the pods' names."""
    return {pod["metadata"]["name"] for pod in site.list("pods", selector)}


def asked_replicas(site: Site) -> int:
    """Return how many pods the Ingestor asks for now."""
    return int(site.get("igst", "metrics")["spec"]["replicas"])


def autoscaler(site: Site) -> str:
    """Return what the autoscaler sees."""
    return site.kubectl("describe", "hpa", "metrics")


@contextmanager
def unanswered_commits(site: Site, address: str) -> Iterator[None]:
    """Hold back the answers to all commits, with one of a server's among them when the body begins.

    A commit that waits for a standby that isn't there is on disk already, and stays whatever becomes of the client.
    """
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND client_addr = '{address}'"
    set_standby(site, "nobody")
    try:
        wait_for(lambda: int(site.sql(waiting)), ANSWER_S, lambda: f"{address} commits nothing")
        yield
    finally:
        set_standby(site, "")


def set_standby(site: Site, name: str) -> None:
    """Have commits wait for a standby; empty: for none."""
    site.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    site.sql("SELECT pg_reload_conf()")


def kill_server(site: Site, pod: str) -> None:
    """Have the kernel send SIGKILL to a server: from inside, nobody else can kill a container's first process.

    It may have a second of CPU time all in all, and is kept busy until it is gone, and this program with it.
    """
    program = (
        "import resource, urllib.request as http\n"
        "resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))\n"
        "while http.urlopen('http://127.0.0.1:9090/metrics', timeout=5).read(): pass"
    )
    with suppress(CommandError):
        site.kubectl("exec", pod, "--", "python", "-c", program)


def kill_database(site: Site) -> None:
    """Send SIGKILL to the postmaster."""
    script = 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"'
    site.kubectl("exec", DATABASE, "-c", "timescaledb", "--", "sh", "-c", script)


def wait_killed(site: Site, pod: str) -> None:
    """Wait until a pod's container has ended by SIGKILL and was started again."""

    def exit_code() -> int | None:
        status = site.get("pod", pod)["status"]["containerStatuses"][0]
        return status["lastState"]["terminated"]["exitCode"] if status["restartCount"] else None

    code = wait_for(exit_code, SERVING_S, lambda: site.kubectl("describe", "pod", pod))
    assert code == KILLED
