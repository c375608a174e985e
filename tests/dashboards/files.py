"""Write the chart's dashboards; a test proves them fresh."""

from pathlib import Path

from dashboards.ingest import INGEST
from dashboards.metrics import METRICS
from dashboards.operator import OPERATOR
from dashboards.panels import write

FOLDER = Path(__file__).parents[2] / "helm/analytics-ingestor/files/dashboards"
FILES = {"ingest.json": INGEST, "metrics.json": METRICS, "operator.json": OPERATOR}


def main() -> None:
    """Write every file."""
    for name, dashboard in FILES.items():
        (FOLDER / name).write_text(write(dashboard))


if __name__ == "__main__":
    main()
