"""What the fake API server of the unit tests imitates, on the real one."""

from collections.abc import AsyncIterator

import pytest

from ingestor_operator.cluster import Cluster, connected
from support.cluster_contract import ClusterContract
from support.kube import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
async def cluster(context: str) -> AsyncIterator[Cluster]:
    """Connect with the kubeconfig, whose current context must be the one that was named."""
    async with connected(lambda *_: None) as cluster:
        yield cluster


@pytest.fixture
def namespace(bare_site: Site, crd: None) -> str:
    """Return a namespace without an operator."""
    return bare_site.namespace


class TestRealCluster(ClusterContract):
    """The contract, fulfilled by Kubernetes."""
