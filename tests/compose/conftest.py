"""The compose project, brought up once under a name and on ports of its own, and taken down with all that it made."""

from collections.abc import Iterator

import pytest

from support.compose import Project


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """Run the whole project with podman-compose, as ``docker compose up`` would."""
    project = Project.with_free_ports()
    try:
        project.up()
        yield project
    finally:
        project.remove()
