"""Expressions that several dashboards have, and the choice of Ingestors that they share."""

from dashboards.panels import Variable

CHOSEN = 'namespace=~"$namespace", ingestor=~"$ingestor"'
"""The labels of what a reader chose."""
NONE = " or vector(0)"
"""For what is not there before the first thing is counted."""


def choices(series: str) -> tuple[Variable, ...]:
    """Return the choice of namespaces and Ingestors, of those that a series has."""
    return (
        Variable("namespace", f"label_values({series}, namespace)", several=True),
        Variable("ingestor", f'label_values({series}{{namespace=~"$namespace"}}, ingestor)', several=True),
    )


def rate(metric: str, by: str = "", labels: str = "") -> str:
    """Return how much a counter grows by per second, summed up but for the labels ``by``."""
    grouped = f" by ({by}) " if by else ""
    selected = f"{metric}{{{labels}}}" if labels else metric
    return f"sum{grouped}(rate({selected}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", labels: str = "") -> str:
    """Return the value below which ``share`` of a histogram's observations lie, for each of ``by``."""
    buckets = rate(f"{histogram}_bucket", f"{by}, le" if by else "le", labels)
    return f"histogram_quantile({share}, {buckets})"
