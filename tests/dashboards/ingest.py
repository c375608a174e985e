"""What servers take and store, how long that takes, and what is in the way."""

from dashboards.panels import PROMETHEUS, Dashboard, Panel, Query, Row
from dashboards.promql import CHOSEN, NONE, choices, quantile, rate

_RECEIVED = f"sum(ingestor_points_received_total{{{CHOSEN}}})"
_SETTLED = f"sum(ingestor_points_total{{{CHOSEN}}}) + sum(ingestor_points_held{{{CHOSEN}}})"


def _rate(metric: str, by: str = "", more: str = "") -> str:
    return rate(metric, by, ", ".join(part for part in (CHOSEN, more) if part))


def _quantile(share: float, histogram: str, by: str = "") -> str:
    return quantile(share, histogram, by, CHOSEN)


INGEST = Dashboard(
    uid="analytics-ingest",
    title="Analytics Ingestor / Ingest",
    text="What servers take and store, how long that takes, and what is in the way.",
    source=PROMETHEUS,
    variables=choices("ingestor_database_up"),
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Points stored",
                    "Points committed per second, by all servers.",
                    "cps",
                    (Query(_rate("ingestor_points_total", more='outcome="committed"')),),
                    kind="stat",
                ),
                Panel(
                    "Requests refused",
                    "Share of requests that are told to come again later. Alert IngestorRefusing: from 1 % on.",
                    "percentunit",
                    (Query(f"({_rate('ingestor_refused_total')}{NONE}) / {_rate('ingestor_requests_total')}"),),
                    kind="stat",
                    limit=0.01,
                ),
                Panel(
                    "Servers without a database",
                    "Servers of which no connection can write. Alert IngestorCommitsFailing: where it is all of them.",
                    "short",
                    (Query(f"count(ingestor_database_up{{{CHOSEN}}} == 0){NONE}"),),
                    kind="stat",
                    limit=1,
                ),
                Panel(
                    "Points in no account",
                    "Points received that are neither settled nor held. It is 0, or we have a fault: alert"
                    " IngestorAccountsBroken.",
                    "short",
                    (Query(f"abs({_RECEIVED} - ({_SETTLED}))"),),
                    kind="stat",
                    limit=1,
                ),
            ),
        ),
        Row(
            "Points and requests",
            (
                Panel(
                    "Points by what became of them",
                    "Committed, duplicate, rejected, refused or abandoned: every point ends as one of these.",
                    "cps",
                    (Query(_rate("ingestor_points_total", "outcome"), "{{outcome}}"),),
                    stacked=True,
                ),
                Panel(
                    "Calls by status",
                    "Calls per second by their gRPC status.",
                    "reqps",
                    (Query(_rate("ingestor_requests_total", "code"), "{{code}}"),),
                    stacked=True,
                ),
                Panel(
                    "Refusals by reason",
                    "Requests that may succeed later; the README's table says of each reason what to do.",
                    "reqps",
                    (Query(f"{_rate('ingestor_refused_total', 'reason')}{NONE}", "{{reason}}"),),
                    stacked=True,
                ),
                Panel(
                    "Rejected points by reason",
                    "Points that can't be stored; each is kept for 7 days in the table rejects.",
                    "cps",
                    (Query(f"{_rate('ingestor_points_rejected_total', 'reason')}{NONE}", "{{reason}}"),),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Waits",
            (
                Panel(
                    "Time to the answer",
                    "From a request's arrival to its OK, by acknowledgement: half of all wait less than the median, one"
                    " in a hundred longer than p99.",
                    "s",
                    (
                        Query(_quantile(0.5, "ingestor_ack_seconds", "ack"), "{{ack}} median"),
                        Query(_quantile(0.99, "ingestor_ack_seconds", "ack"), "{{ack}} p99"),
                    ),
                ),
                Panel(
                    "Phases of a flush, p95",
                    "A long copy is a busy database, a long commit its disk, a long ledger a lock.",
                    "s",
                    (Query(_quantile(0.95, "ingestor_flush_seconds", "phase"), "{{phase}}"),),
                ),
                Panel(
                    "Oldest request that waits",
                    "Age of the oldest request without an outcome. Alert IngestorLagging: from 5 s on.",
                    "s",
                    (Query(f"max by (instance) (ingestor_oldest_held_seconds{{{CHOSEN}}})", "{{instance}}"),),
                    limit=5,
                ),
                Panel(
                    "Since the last commit",
                    "It grows where nothing is sent, too.",
                    "s",
                    (
                        Query(
                            f"time() - max by (instance) (ingestor_last_commit_timestamp_seconds{{{CHOSEN}}} > 0)",
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Buffer and database",
            (
                Panel(
                    "Buffer in use",
                    "Share of the buffer in use; full, it refuses. Alert IngestorBufferFilling: from 80 % on.",
                    "percentunit",
                    (
                        Query(
                            f"max by (instance) (ingestor_buffer_bytes{{{CHOSEN}}}"
                            f" / ingestor_buffer_limit_bytes{{{CHOSEN}}})",
                            "{{instance}}",
                        ),
                    ),
                    limit=0.8,
                ),
                Panel(
                    "Points held",
                    "Points received that have no outcome yet.",
                    "short",
                    (Query(f"sum by (instance) (ingestor_points_held{{{CHOSEN}}})", "{{instance}}"),),
                ),
                Panel(
                    "Rows of a flush",
                    "Half of all flushes have fewer rows; many rows a flush is what makes COPY fast.",
                    "short",
                    (Query(_quantile(0.5, "ingestor_flush_rows"), "median"),),
                ),
                Panel(
                    "Errors of the database",
                    "Failed flushes and connects by class; those that may pass are repeated.",
                    "cps",
                    (Query(f"{_rate('ingestor_database_errors_total', 'class')}{NONE}", "{{class}}"),),
                    stacked=True,
                ),
                Panel(
                    "Connected servers",
                    "Servers with a connection that can write.",
                    "short",
                    (Query(f"sum(ingestor_database_up{{{CHOSEN}}})", "servers"),),
                ),
                Panel(
                    "Series in memory",
                    "Distinct series that a server has seen; steep growth is a label with values without end.",
                    "short",
                    (Query(f"max by (instance) (ingestor_series_cache_series{{{CHOSEN}}})", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Servers",
            (
                Panel(
                    "CPU",
                    "Cores in use. One server uses one core: near 1 it is time for another pod.",
                    "short",
                    (
                        Query(
                            "sum by (instance) (rate(process_cpu_seconds_total"
                            f'{{job="analytics-ingestor", {CHOSEN}}}[$__rate_interval]))',
                            "{{instance}}",
                        ),
                    ),
                    limit=0.9,
                ),
                Panel(
                    "Memory",
                    "Resident memory of each server.",
                    "bytes",
                    (
                        Query(
                            f'max by (instance) (process_resident_memory_bytes{{job="analytics-ingestor", {CHOSEN}}})',
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "Messages being received",
                    "Share of the messages that may be received at once; at 1 calls wait, and then are refused.",
                    "percentunit",
                    (
                        Query(
                            f"max by (instance) (ingestor_receiving_messages{{{CHOSEN}}}"
                            f" / ingestor_receiving_limit_messages{{{CHOSEN}}})",
                            "{{instance}}",
                        ),
                    ),
                    limit=1,
                ),
                Panel(
                    "Lateness of the event loop",
                    "How late a server ran its last tick. Alert IngestorLagging: from 1 s on.",
                    "s",
                    (Query(f"max by (instance) (ingestor_event_lag_seconds{{{CHOSEN}}})", "{{instance}}"),),
                    limit=1,
                ),
                Panel(
                    "Spans that were lost",
                    "Recorded spans that did not reach the collector.",
                    "cps",
                    (Query(f"{_rate('ingestor_trace_spans_dropped_total', 'reason')}{NONE}", "{{reason}}"),),
                ),
            ),
        ),
    ),
)
