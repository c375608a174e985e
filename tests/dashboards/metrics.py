"""The stored metrics themselves, by SQL: a service, a metric, and the labels that its series have."""

from dashboards.panels import DATABASE, Dashboard, Panel, Row, Sql, Variable

_WHICH = "service_name = ${service:sqlstring} AND metric_name = ${metric:sqlstring} AND labels @> ${labels:sqlstring}"
_BUCKET = "time_bucket('$__interval', time)"

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
                    "The mean of each series in each interval.",
                    "short",
                    Sql(
                        f"SELECT {_BUCKET} AS time, labels::text AS metric, avg(value) AS value FROM metrics"
                        f" WHERE {_WHICH} AND $__timeFilter(time) GROUP BY 1, 2 ORDER BY 1"
                    ),
                ),
                Panel(
                    "Increase of a counter",
                    "What each series grew by in each interval; a value below the one before it is a counter that began"
                    " anew.",
                    "short",
                    Sql(
                        f"SELECT {_BUCKET} AS time, labels::text AS metric,"
                        " sum(CASE WHEN value >= before THEN value - before ELSE value END) AS value FROM ("
                        "SELECT time, labels, value, lag(value) OVER (PARTITION BY labels ORDER BY time) AS before"
                        f" FROM metrics WHERE {_WHICH} AND $__timeFilter(time)) AS points"
                        " WHERE before IS NOT NULL GROUP BY 1, 2 ORDER BY 1"
                    ),
                ),
                Panel(
                    "Points stored",
                    "How many points each interval has, of all series.",
                    "short",
                    Sql(
                        f"SELECT {_BUCKET} AS time, 'points' AS metric, count(*) AS value FROM metrics"
                        f" WHERE {_WHICH} AND $__timeFilter(time) GROUP BY 1 ORDER BY 1"
                    ),
                ),
                Panel(
                    "Newest values",
                    "The last value of each series in the range.",
                    "short",
                    Sql(
                        "SELECT DISTINCT ON (labels) time, labels::text AS labels, value FROM metrics"
                        f" WHERE {_WHICH} AND $__timeFilter(time) ORDER BY labels, time DESC"
                    ),
                    kind="table",
                ),
            ),
        ),
    ),
)
