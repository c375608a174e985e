"""A dashboard as data, and the one place that turns it into Grafana's JSON."""

import itertools
import json
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import common, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

Kind = Literal["timeseries", "stat", "table"]
Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "cps"]
"""Grafana's names: a number, seconds, bytes, a share of 1, requests and other things per second."""

WIDTHS: dict[Kind, int] = {"timeseries": 12, "stat": 6, "table": 12}
HEIGHTS: dict[Kind, int] = {"timeseries": 8, "stat": 4, "table": 8}
LEAST_INTERVAL = "30s"
"""Of stored metrics: with intervals shorter than the time between two points, a counter's rate would jump."""
PROMETHEUS = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
DATABASE = model.DataSourceRef(type_val="grafana-postgresql-datasource", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its series are called; empty: by all of their labels."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL with Grafana's macros; for a picture over time its columns are time, metric (the series' name) and value."""

    statement: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: ``text`` says in a sentence what it shows; from ``limit`` on the value is drawn as bad."""

    title: str
    text: str
    unit: Unit
    queries: tuple[Query, ...] | Sql
    kind: Kind = "timeseries"
    limit: float | None = None
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader chooses: among what ``query`` finds, with all as ``.*`` where ``several`` may be; or a text."""

    name: str
    query: str = ""
    several: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """``variables`` are names to choose values for, each with the query that lists them, or a text to begin with."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    source: model.DataSourceRef
    variables: tuple[Variable, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Return the panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)


def write(dashboard: Dashboard) -> str:
    """Return Grafana's JSON."""
    builder = (
        grafana.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.text)
        .tags(["analytics-ingestor"])
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(
            grafana.DatasourceVariable("datasource").label("Data source").type(str(dashboard.source.type_val))
        )
    )
    for variable in dashboard.variables:
        builder.with_variable(_variable(variable, dashboard.source))
    numbers = itertools.count(1)
    for row in dashboard.rows:
        builder.with_row(grafana.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            builder.with_panel(_panel(panel, next(numbers), dashboard.source))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _variable(variable: Variable, source: model.DataSourceRef) -> Builder[model.VariableModel]:
    if not variable.query:
        return grafana.TextBoxVariable(variable.name).default_value(variable.text)
    builder = grafana.QueryVariable(variable.name).datasource(source).query(variable.query)
    builder.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    if variable.several:  # all of them also matches series without that label
        builder.include_all(True).multi(True).all_value(".*")
        builder.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return builder


_KINDS: dict[Kind, type[timeseries.Panel | stat.Panel | table.Panel]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "table": table.Panel,
}


def _panel(panel: Panel, number: int, source: model.DataSourceRef) -> timeseries.Panel | stat.Panel | table.Panel:
    builder = _KINDS[panel.kind]()
    builder.id(number).title(panel.title).description(panel.text).unit(panel.unit).datasource(source)
    builder.span(WIDTHS[panel.kind]).height(HEIGHTS[panel.kind]).thresholds(_thresholds(panel.limit))
    if isinstance(panel.queries, Sql):
        builder.interval(LEAST_INTERVAL)
    for target in _targets(panel):
        builder.with_target(target)
    if isinstance(builder, timeseries.Panel):
        _draw(builder, panel)
    elif isinstance(builder, stat.Panel):
        builder.graph_mode(common_model.BigValueGraphMode.AREA)
        builder.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return builder


def _targets(panel: Panel) -> list[Builder[Dataquery]]:
    if isinstance(panel.queries, Sql):
        return [_SqlTarget(panel.queries.statement, "table" if panel.kind == "table" else "time_series")]
    return [
        queries.Dataquery().expr(query.expression).ref_id(chr(ord("A") + index)).legend_format(query.legend or "__auto")
        for index, query in enumerate(panel.queries)
    ]


@dataclass(frozen=True, slots=True)
class _SqlTarget(Builder[Dataquery], Dataquery):
    """A query of Grafana's PostgreSQL data source, which the SDK has no model of."""

    statement: str
    format: str

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        """Return what the encoder writes."""
        return {
            "refId": "A",
            "format": self.format,
            "editorMode": "code",
            "rawQuery": True,
            "rawSql": self.statement,
        }


def _draw(builder: timeseries.Panel, panel: Panel) -> None:
    builder.min(0).line_width(1).fill_opacity(30 if panel.stacked else 10)
    builder.show_points(common_model.VisibilityMode.NEVER)
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if panel.limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        builder.thresholds_style(style)


def _thresholds(limit: float | None) -> grafana.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if limit is not None:
        steps.append(model.Threshold(value=limit, color="red"))
    return grafana.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
