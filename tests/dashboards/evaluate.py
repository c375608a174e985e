"""What Grafana would ask of its data sources for a panel: the queries with every variable and macro filled in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RATE_INTERVAL = "1m"
RANGE = "15 minutes"

CHOICES: Mapping[str, str] = {"service": "load", "metric": "system.cpu.utilization", "labels": "{}"}
"""What a reader of the metrics chooses: what the load generator sends of its machine."""


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel; ``legend`` is Grafana's pattern for the names of its series, empty for SQL."""

    query: str
    legend: str = ""

    @property
    def is_sql(self) -> bool:
        """Tell whether it is for TimescaleDB and not for Prometheus."""
        return not self.legend

    def name(self, labels: Mapping[str, str]) -> str:
        """Return what Grafana calls a series."""
        if self.legend == "__auto":
            return ", ".join(f"{key}={value}" for key, value in labels.items()) or "value"
        return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), self.legend)


def targets(panel: Mapping[str, Any]) -> Iterator[Target]:
    """Yield each query of a panel of the JSON, filled in."""
    for target in panel["targets"]:
        if "rawSql" in target:
            yield Target(fill_sql(target["rawSql"]))
        else:
            yield Target(fill_promql(target["expr"]), target["legendFormat"])


def fill_promql(expression: str) -> str:
    """Return the expression for all Ingestors of all namespaces."""
    for name in ("namespace", "ingestor"):
        expression = expression.replace(f'"${name}"', '".*"')
    return _whole(expression.replace("$__rate_interval", RATE_INTERVAL))


def fill_sql(statement: str, choices: Mapping[str, str] = CHOICES) -> str:
    """Return the statement for the newest points of what was chosen."""
    for name, value in choices.items():
        statement = statement.replace(f"${{{name}:sqlstring}}", f"'{value}'")
    statement = statement.replace("$__timeFrom()", f"now() - interval '{RANGE}'").replace("$__timeTo()", "now()")
    return _whole(statement.replace("$__interval", "5 seconds"))


def _whole(query: str) -> str:
    if "$" in query:
        raise ValueError(f"a variable is left: {query}")
    return query
