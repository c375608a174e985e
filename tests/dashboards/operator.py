"""How Ingestors are, and what the operator does about it."""

from dashboards.panels import PROMETHEUS, Dashboard, Panel, Query, Row
from dashboards.promql import CHOSEN, NONE, choices, quantile, rate

_CONDITION = "ingestor_operator_condition"


def _counted(condition: str, status: int) -> str:
    return f'count({_CONDITION}{{{CHOSEN}, condition="{condition}"}} == {status}){NONE}'


OPERATOR = Dashboard(
    uid="analytics-operator",
    title="Analytics Ingestor / Operator",
    text="How Ingestors are, and what the operator does about it.",
    source=PROMETHEUS,
    variables=choices(_CONDITION),
    rows=(
        Row(
            "Ingestors",
            (
                Panel(
                    "Ready",
                    "Ingestors that are as asked for and take points.",
                    "short",
                    (Query(_counted("Ready", 1)),),
                    kind="stat",
                ),
                Panel(
                    "Not ready",
                    "Ingestors that are not as asked for. Alert IngestorNotReady: after 15 minutes.",
                    "short",
                    (Query(_counted("Ready", 0)),),
                    kind="stat",
                    limit=1,
                ),
                Panel(
                    "Schemas not applied",
                    "Schemas that wait for approval, drifted, or have something in their way.",
                    "short",
                    (Query(_counted("SchemaApplied", 0)),),
                    kind="stat",
                    limit=1,
                ),
                Panel(
                    "Policies failing",
                    "Ingestors of which a columnstore, retention or refresh policy failed when it ran last.",
                    "short",
                    (Query(_counted("PoliciesHealthy", 0)),),
                    kind="stat",
                    limit=1,
                ),
                Panel(
                    "Ingestors by reason of Ready",
                    "Why Ingestors are ready or not.",
                    "short",
                    (Query(f'count by (reason) ({_CONDITION}{{{CHOSEN}, condition="Ready"}})', "{{reason}}"),),
                    stacked=True,
                ),
                Panel(
                    "Conditions that are False",
                    "Each with its Ingestor and the reason.",
                    "short",
                    (
                        Query(
                            f"count by (namespace, ingestor, condition, reason) ({_CONDITION}{{{CHOSEN}}} == 0){NONE}",
                            "{{namespace}}/{{ingestor}} {{condition}} {{reason}}",
                        ),
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Schemas",
            (
                Panel(
                    "Looks at databases",
                    "By what was found: Applied, or why not.",
                    "cps",
                    (Query(rate("ingestor_operator_schema_checks_total", "reason"), "{{reason}}"),),
                    stacked=True,
                ),
                Panel(
                    "Steps carried out",
                    "Changes of databases: what was asked for, and drift that was corrected.",
                    "short",
                    (Query("sum(increase(ingestor_operator_schema_steps_total[$__rate_interval]))", "steps"),),
                ),
            ),
        ),
        Row(
            "Operator",
            (
                Panel(
                    "Passes by result",
                    "One pass looks at one Ingestor and acts. Errors are tried again, ever later.",
                    "cps",
                    (Query(rate("ingestor_operator_reconciles_total", "result"), "{{result}}"),),
                    stacked=True,
                ),
                Panel(
                    "Time of a pass",
                    "Half of all take less than the median; a look at a database may take 90 s.",
                    "s",
                    (
                        Query(quantile(0.5, "ingestor_operator_reconcile_seconds"), "median"),
                        Query(quantile(0.99, "ingestor_operator_reconcile_seconds"), "p99"),
                    ),
                ),
                Panel(
                    "Queue",
                    "Ingestors that are due and wait for a worker.",
                    "short",
                    (Query("sum(ingestor_operator_queue_depth)", "due"),),
                ),
                Panel(
                    "Longest wait and longest pass",
                    "How long the first of the queue has been due, and the oldest pass under way.",
                    "s",
                    (
                        Query("max(ingestor_operator_queue_oldest_seconds)", "due"),
                        Query("max(ingestor_operator_longest_running_seconds)", "under way"),
                    ),
                    limit=900,
                ),
                Panel(
                    "Since the last listing and event",
                    "Everything is listed every 5 minutes. Alert IngestorOperatorStalled: after 20.",
                    "s",
                    (
                        Query("time() - max(ingestor_operator_last_resync_timestamp_seconds)", "listing"),
                        Query("time() - max(ingestor_operator_last_event_timestamp_seconds > 0)", "event"),
                    ),
                    limit=1_200,
                ),
                Panel(
                    "Writes to the API server",
                    "By kind and verb. Where all is as it should be there are none.",
                    "cps",
                    (Query(rate("ingestor_operator_writes_total", "kind, verb"), "{{verb}} {{kind}}"),),
                    stacked=True,
                ),
                Panel(
                    "CPU",
                    "Cores in use.",
                    "short",
                    (
                        Query(
                            'sum(rate(process_cpu_seconds_total{job="ingestor-operator"}[$__rate_interval]))',
                            "cores",
                        ),
                    ),
                ),
                Panel(
                    "Memory",
                    "Resident memory.",
                    "bytes",
                    (Query('max(process_resident_memory_bytes{job="ingestor-operator"})', "resident"),),
                ),
            ),
        ),
    ),
)
