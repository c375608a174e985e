"""The chart's dashboards as files: written here, proven fresh by a test."""

import json
from pathlib import Path
from typing import Any

from dashboards.ingest import INGEST
from dashboards.metrics import METRICS
from dashboards.operator import OPERATOR
from dashboards.panels import write

FOLDER = Path(__file__).parents[2] / "helm/analytics-ingestor/files/dashboards"
FILES = {"ingest.json": INGEST, "metrics.json": METRICS, "operator.json": OPERATOR}


def read_panels(name: str) -> list[dict[str, Any]]:
    """Return the panels of a file that ask for something: all but the titles of rows."""
    return [panel for panel in json.loads((FOLDER / name).read_text())["panels"] if "targets" in panel]


def main() -> None:
    """Write every file."""
    for name, dashboard in FILES.items():
        (FOLDER / name).write_text(write(dashboard))


if __name__ == "__main__":
    main()
