"""What becomes of points as they age: kept by columns, summed up in rollups, dropped.

Each model refuses by itself what would lose data later; ``SchemaSpec`` checks what they mean together.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from ingestor.schema.durations import Duration, duration_s
from ingestor.schema.identifiers import SCHEMA_PATTERN

ORDER_PATTERN = r"^(time|series_id|value)( ASC| DESC)?$"
MAX_ROLLUPS = 16
RESERVED_NAMES = frozenset(
    {"series", "samples", "metrics", "ledger", "ledger_beat", "rejects", "retention", "migration", "owner"}
)
"""What migrations make, or may; a test proves that none is missing."""
MIN_BUCKETS = 2
"""Least buckets in a refresh window.

Source: TimescaleDB refuses a policy whose window covers less ("refresh window too small"): a window that is not
aligned with the buckets holds one whole bucket less than its length says.
"""

Segment = Annotated[str, Field(pattern=r"^(series_id|value)$", max_length=9)]
Order = Annotated[str, Field(pattern=ORDER_PATTERN, max_length=14)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Columnstore(_Part):
    """Old chunks by columns: a fraction of the space, faster scans, slower changes. Not in Apache builds."""

    after: Duration = Field(default="7d", description="Age from which a chunk is converted.")
    segment_by: tuple[Segment, ...] = Field(
        default=("series_id",), max_length=2, description="Columns whose equal values are kept together."
    )
    order_by: tuple[Order, ...] = Field(
        default=("time DESC",), min_length=1, max_length=3, description="Order within a segment."
    )
    schedule_interval: Duration = Field(default="12h", description="How often old chunks are looked for.")

    @field_validator("order_by")
    @classmethod
    def _normalize(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(column.removesuffix(" ASC") for column in columns)

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        names = [*self.segment_by, *(column.split()[0] for column in self.order_by)]
        if len(set(names)) != len(names):
            raise ValueError("a column may stand once in segmentBy and orderBy together")
        return self


class Retention(_Part):
    """Chunks of which every point is older than this are dropped."""

    drop_after: Duration = Field(description="Age from which data is dropped, in whole chunks.")
    schedule_interval: Duration = Field(default="1d", description="How often old chunks are looked for.")


class Refresh(_Part):
    """Which part of a rollup is brought up to date, and how often."""

    start_offset: Duration = Field(description="Age of the oldest points looked at; what arrives later is not seen.")
    end_offset: Duration = Field(description="Age of the newest points looked at; younger buckets may still fill.")
    schedule_interval: Duration = Field(description="How often.")


class Rollup(_Part):
    """Count, sum, least, greatest and last value of every series in each bucket of time: a continuous aggregate."""

    name: str = Field(pattern=SCHEMA_PATTERN, max_length=40, description="The rollup's name, a view in the schema.")
    bucket: Duration = Field(description="Time that one row sums up.")
    refresh: Refresh = Field(description="When it is brought up to date.")
    retention: Retention | None = Field(default=None, description="When its rows are dropped; never where left out.")

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        start_s, end_s = duration_s(self.refresh.start_offset), duration_s(self.refresh.end_offset)
        if start_s - end_s < MIN_BUCKETS * duration_s(self.bucket):
            text = f"from refresh.startOffset to refresh.endOffset must be {MIN_BUCKETS} buckets or more"
            raise ValueError(f"rollup {self.name}: {text}")
        if self.retention is not None and duration_s(self.retention.drop_after) < start_s:
            raise ValueError(
                f"rollup {self.name}: retention.dropAfter is shorter than refresh.startOffset, so that each refresh"
                " would make again what was dropped"
            )
        return self


def check_lifecycle(columnstore: Columnstore | None, retention: Retention | None, rollups: tuple[Rollup, ...]) -> None:
    """Refuse what loses data only in combination.

    Raises:
        ValueError: the text says what would be lost.
    """
    names = [rollup.name for rollup in rollups]
    if taken := RESERVED_NAMES.intersection(names):
        raise ValueError(f"rollup {min(taken)} has the name of another object of ours")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"rollup {min(repeated)} is given twice")
    if retention is None:
        return
    drop_s = duration_s(retention.drop_after)
    if columnstore is not None and duration_s(columnstore.after) >= drop_s:
        raise ValueError("columnstore.after must be less than retention.dropAfter: chunks would be gone before")
    for rollup in rollups:
        if duration_s(rollup.refresh.start_offset) > drop_s:
            raise ValueError(
                f"rollup {rollup.name}: refresh.startOffset reaches past retention.dropAfter, so that a refresh would"
                " replace the history of dropped points with nothing; make it shorter, or keep points longer"
            )
