"""What the database shall look like, in the shape of the custom resource's ``spec.schema``."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from ingestor.schema.durations import Duration, duration_s
from ingestor.schema.identifiers import SCHEMA_PATTERN, check_schema_name
from ingestor.schema.lifecycle import MAX_ROLLUPS, Columnstore, Retention, Rollup, check_lifecycle

MIN_CHUNK_INTERVAL_S = 60
MAX_CHUNK_INTERVAL_S = 3650 * 86_400

IndexName = Literal["SeriesTime", "TimeBrin"]


class SchemaSpec(BaseModel):
    """The schema that a user asks for; frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str = Field(default="analytics", pattern=SCHEMA_PATTERN, description="The schema of all our tables.")
    index: IndexName = Field(
        default="SeriesTime", description="SeriesTime reads fast; TimeBrin writes fast and stays small."
    )
    chunk_interval: Duration = Field(default="1d", description="Time that one chunk of samples covers.")
    columnstore: Columnstore | None = Field(default=None, description="Old chunks by columns; off where left out.")
    retention: Retention | None = Field(default=None, description="When points are dropped; never where left out.")
    rollups: tuple[Rollup, ...] = Field(default=(), max_length=MAX_ROLLUPS, description="Sums over buckets of time.")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_schema_name(name)

    @field_validator("chunk_interval")
    @classmethod
    def _check_chunk_interval(cls, text: str) -> str:
        if not MIN_CHUNK_INTERVAL_S <= duration_s(text) <= MAX_CHUNK_INTERVAL_S:
            raise ValueError("a chunk must cover between 1 minute and 3650 days")
        return text

    @model_validator(mode="after")
    def _check_lifecycle(self) -> Self:
        check_lifecycle(self.columnstore, self.retention, self.rollups)
        return self

    @property
    def chunk_interval_s(self) -> int:
        """Return the chunk interval in seconds."""
        return duration_s(self.chunk_interval)
