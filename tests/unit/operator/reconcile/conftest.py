"""A namespace with an operator and its surroundings, all in memory."""

from pathlib import Path

import pytest

from support.operator_site import OperatorSite


@pytest.fixture
def site(tmp_path: Path) -> OperatorSite:
    return OperatorSite(tmp_path)


@pytest.fixture
async def converged(site: OperatorSite) -> OperatorSite:
    """Return a site with an Ingestor that is Ready."""
    site.add_ingestor()
    await site.settle()
    site.writes.clear()
    return site
