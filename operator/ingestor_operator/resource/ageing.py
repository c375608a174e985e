"""What becomes of points as they age, with the rules of ``ingestor.schema`` in CEL, for the API server to check.

Unlike a file's, fields that are not known here are ignored, see ``ResourceModel``.
"""

from pydantic import ConfigDict, Field

from ingestor.schema.durations import Duration
from ingestor.schema.lifecycle import MIN_BUCKETS, RESERVED_NAMES, Columnstore, Refresh, Retention, Rollup
from ingestor_operator.resource.kinds import rules, seconds


class ColumnstoreSpec(Columnstore):
    """Old chunks by columns: a fraction of the space, faster scans, slower changes. Not in Apache builds."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra=rules(
            (
                "self.segmentBy.all(s, self.orderBy.all(o, o.split(' ')[0] != s))",
                "a column may stand once in segmentBy and orderBy together",
            ),
        ),
    )


class RetentionSpec(Retention):
    """Chunks of which every point is older than this are dropped."""

    model_config = ConfigDict(extra="ignore")


class RefreshSpec(Refresh):
    """Which part of a rollup is brought up to date, and how often."""

    model_config = ConfigDict(extra="ignore")


class RollupSpec(Rollup):
    """Count, sum, least, greatest and last value of every series in each bucket of time: a continuous aggregate."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra=rules(
            (
                f"{seconds('self.refresh.startOffset')} - {seconds('self.refresh.endOffset')}"
                f" >= {MIN_BUCKETS} * {seconds('self.bucket')}",
                f"from refresh.startOffset to refresh.endOffset must be {MIN_BUCKETS} buckets or more",
            ),
            (
                "!has(self.retention) ||"
                f" {seconds('self.retention.dropAfter')} >= {seconds('self.refresh.startOffset')}",
                "retention.dropAfter is shorter than refresh.startOffset: each refresh would make again what was"
                " dropped",
            ),
            (
                f"!(self.name in {sorted(RESERVED_NAMES)})",
                "name is that of another object in the schema: choose another",
            ),
        ),
    )

    bucket: Duration = Field(description="Time that one row sums up.")
    refresh: RefreshSpec = Field(description="When it is brought up to date.")
    retention: RetentionSpec | None = Field(None, description="When its rows are dropped; never where left out.")


AGEING_RULES = (
    (
        "!has(self.columnstore) || !has(self.retention) ||"
        f" {seconds('self.columnstore.after')} < {seconds('self.retention.dropAfter')}",
        "columnstore.after must be less than retention.dropAfter: chunks would be gone before",
    ),
    (
        "!has(self.retention) || !has(self.rollups) || self.rollups.all(r,"
        f" {seconds('r.refresh.startOffset')} <= {seconds('self.retention.dropAfter')})",
        "a rollup's refresh.startOffset reaches past retention.dropAfter, so that a refresh would replace the history"
        " of dropped points with nothing: make it shorter, or keep points longer",
    ),
)
"""What holds between the fields of a schema."""
