"""Helm itself; a machine that has none and cannot fetch it fails these tests."""

import pytest

from support.helm import Helm, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Return Helm, to be run on the chart."""
    return Helm(find_helm())
