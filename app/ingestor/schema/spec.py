"""What the database shall look like, in the shape of the custom resource's ``spec.schema``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from ingestor.schema.identifiers import SCHEMA_PATTERN, check_schema_name

DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhdw]$"
MIN_CHUNK_INTERVAL_S = 60
MAX_CHUNK_INTERVAL_S = 3650 * 86_400

IndexName = Literal["SeriesTime", "TimeBrin"]

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str) -> int:
    """Return a duration such as ``12h`` in seconds; the text matches ``DURATION_PATTERN``."""
    return int(text[:-1]) * _UNIT_S[text[-1]]


def format_duration(seconds: int) -> str:
    """Return seconds as ``duration_s`` reads them, in the largest unit up to days that leaves no rest."""
    unit = next((unit for unit in "dhm" if seconds % _UNIT_S[unit] == 0), "s")
    return f"{seconds // _UNIT_S[unit]}{unit}"


class SchemaSpec(BaseModel):
    """The schema that a user asks for; frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str = Field(default="analytics", pattern=SCHEMA_PATTERN, description="The schema of all our tables.")
    index: IndexName = Field(
        default="SeriesTime", description="SeriesTime reads fast; TimeBrin writes fast and stays small."
    )
    chunk_interval: str = Field(
        default="1d", pattern=DURATION_PATTERN, max_length=7, description="Time that one chunk of samples covers."
    )

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

    @property
    def chunk_interval_s(self) -> int:
        """Return the chunk interval in seconds."""
        return duration_s(self.chunk_interval)
