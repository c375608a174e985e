"""One TimescaleDB is pinned everywhere, and what is pinned or installed is within what is tested."""

import re
from pathlib import Path

from ingestor.local.container import IMAGE, MAJOR
from ingestor.local.debian import RELEASES
from ingestor.schema.tested import POSTGRESQL, is_tested_timescaledb

ROOT = Path(__file__).parents[2]


def test_compose_and_the_examples_pin_the_image_of_the_local_database() -> None:
    files = [ROOT / "docker-compose.yaml", *(ROOT / "helm" / "examples").glob("*.yaml")]
    pinned = [re.findall(r"timescale/timescaledb:[\w.-]+", file.read_text()) for file in files]
    assert {image for images in pinned for image in images} == {IMAGE}
    assert sum(map(len, pinned)) >= 2


def test_the_pinned_image_is_within_the_tested_range() -> None:
    version, _, server = IMAGE.partition(":")[2].partition("-")
    assert is_tested_timescaledb(version)
    assert server == f"pg{MAJOR}"
    assert POSTGRESQL[0] <= MAJOR <= POSTGRESQL[1]


def test_the_tests_run_on_both_ends_of_the_range() -> None:
    assert set(POSTGRESQL) == {*RELEASES}
