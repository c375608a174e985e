"""The stored metrics themselves, by SQL: a service, a metric, and the labels that its series have."""

from dashboards.panels import DATABASE, Dashboard, Panel, Row, Sql, Variable

_RANGE = "$__timeFrom(), $__timeTo(), '$__interval'"
_ASKED = f"${{service:sqlstring}}, ${{metric:sqlstring}}, {_RANGE}, ${{labels:sqlstring}}"

METRICS = Dashboard(
    uid="analytics-metrics",
    title="Analytics Ingestor / Metrics",
    text="The stored metrics themselves: choose a service and a metric, and labels as JSON to have fewer series.",
    source=DATABASE,
    variables=(
        Variable("service", "SELECT DISTINCT service_name FROM series ORDER BY 1"),
        Variable(
            "metric",
            "SELECT DISTINCT metric_name FROM series WHERE service_name = ${service:sqlstring} ORDER BY 1",
        ),
        Variable("labels", text="{}"),
    ),
    rows=(
        Row(
            "Series",
            (
                Panel(
                    "Average",
                    "The mean of each series in each interval, from the largest rollup that fits.",
                    "short",
                    Sql(f"SELECT time, labels::text AS metric, avg AS value FROM buckets({_ASKED}) ORDER BY 1"),
                ),
                Panel(
                    "Rate of a counter",
                    "What each series grew by a second in each interval; a fall is a counter that began anew.",
                    "short",
                    Sql(f"SELECT time, labels::text AS metric, value FROM rate({_ASKED}) ORDER BY 1"),
                ),
                Panel(
                    "Points stored",
                    "How many points each interval has, of all series.",
                    "short",
                    Sql(
                        f"SELECT time, 'points' AS metric, sum(count) AS value FROM buckets({_ASKED})"
                        " GROUP BY 1 ORDER BY 1"
                    ),
                ),
                Panel(
                    "Newest values",
                    "The last value of each series in the range, and when its interval began.",
                    "short",
                    Sql(
                        "SELECT DISTINCT ON (labels) time, labels::text AS labels, last AS value"
                        f" FROM buckets({_ASKED}) ORDER BY labels, time DESC"
                    ),
                    kind="table",
                ),
            ),
        ),
    ),
)
