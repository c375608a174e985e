"""The contract with an API server, on the fake, and how its answers become errors of ours."""

import pytest

from ingestor_operator.cluster import INGESTORS, Cluster
from ingestor_operator.errors import ClusterError, OperatorError, RefusedError
from support.cluster_contract import ClusterContract, make
from support.fake_cluster import ApiFaultError, FakeApiServer, fake_cluster
from support.operator_specs import NAMESPACE


@pytest.fixture
def api() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
def cluster(api: FakeApiServer) -> Cluster:
    return fake_cluster(api, lambda _kind, _verb: None)


@pytest.fixture
def namespace() -> str:
    return NAMESPACE


class TestFakeCluster(ClusterContract):
    """The fake keeps the contract."""


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, RefusedError), (403, RefusedError), (409, RefusedError), (422, RefusedError)]
    + [(code, ClusterError) for code in (401, 404, 429, 500, 502, 503, 504)],
)
async def test_what_somebody_must_change_is_told_from_what_may_succeed_later(
    api: FakeApiServer, cluster: Cluster, code: int, error: type[OperatorError]
) -> None:
    def fail(method: str, kind: str, name: str) -> None:
        raise ApiFaultError(code, "Because", "not now")

    api.faults.append(fail)
    with pytest.raises(error, match="can't write the status of metrics: not now"):
        await cluster.write_status(NAMESPACE, "metrics", {})


async def test_a_server_that_is_away_may_be_back_later(api: FakeApiServer, cluster: Cluster) -> None:
    def fail(method: str, kind: str, name: str) -> None:
        raise ConnectionResetError("reset by peer")

    api.faults.append(fail)
    with pytest.raises(ClusterError, match="reset by peer"):
        await cluster.list_objects(INGESTORS, "*")


async def test_long_lists_are_read_to_their_end(api: FakeApiServer, cluster: Cluster) -> None:
    for number in range(401):
        await make(cluster, NAMESPACE, f"m{number}")
    assert len(await cluster.list_objects(INGESTORS, "*")) == 401
    assert sum(method == "GET" for method, _, _ in api.requests) == 3


async def test_every_write_is_counted_by_kind_and_verb() -> None:
    counted: list[tuple[str, str]] = []
    cluster = fake_cluster(FakeApiServer(), lambda kind, verb: counted.append((kind, verb)))
    await make(cluster, NAMESPACE, "metrics")
    await cluster.write_status(NAMESPACE, "metrics", {"replicas": 1})
    await cluster.list_objects(INGESTORS, NAMESPACE)
    await cluster.delete(INGESTORS, NAMESPACE, "metrics")
    assert counted == [("Ingestor", "apply"), ("Ingestor", "status"), ("Ingestor", "delete")]
