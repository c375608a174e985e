"""What Grafana would ask of its data sources for a panel: the queries with every variable and macro filled in."""

from collections.abc import Iterator, Mapping
from typing import Any

RATE_INTERVAL = "1m"
RANGE = "15 minutes"

CHOICES: Mapping[str, str] = {"service": "load", "metric": "system.cpu.utilization", "labels": "{}"}
"""What a reader of the metrics chooses: what the load generator sends of its machine."""


def targets(panel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each query of a panel of the JSON, as its language (``promql`` or ``sql``) and its text."""
    for target in panel.get("targets", ()):
        if "rawSql" in target:
            yield "sql", fill_sql(target["rawSql"])
        else:
            yield "promql", fill_promql(target["expr"])


def fill_promql(expression: str) -> str:
    """Return the expression for all Ingestors of all namespaces."""
    for name in ("namespace", "ingestor"):
        expression = expression.replace(f'"${name}"', '".*"')
    return _whole(expression.replace("$__rate_interval", RATE_INTERVAL))


def fill_sql(statement: str, choices: Mapping[str, str] = CHOICES) -> str:
    """Return the statement for the newest points of what was chosen."""
    for name, value in choices.items():
        statement = statement.replace(f"${{{name}:sqlstring}}", f"'{value}'")
    statement = statement.replace("$__timeFilter(time)", f"time > now() - interval '{RANGE}'")
    return _whole(statement.replace("$__interval", "5 seconds"))


def _whole(query: str) -> str:
    if "$" in query:
        raise ValueError(f"a variable is left: {query}")
    return query
