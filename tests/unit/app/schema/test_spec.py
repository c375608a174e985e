"""What a user may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestor.schema.durations import duration_s, format_duration
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec


def test_the_defaults_are_those_of_the_custom_resource() -> None:
    assert SchemaSpec().model_dump(by_alias=True, exclude_none=True) == {
        "name": "analytics",
        "index": "SeriesTime",
        "chunkInterval": "1d",
        "rollups": (),
    }


def test_the_fields_are_read_by_the_names_of_the_custom_resource() -> None:
    spec = SchemaSpec.model_validate({"name": "m", "index": "TimeBrin", "chunkInterval": "12h"})
    assert (spec.name, spec.index, spec.chunk_interval_s) == ("m", "TimeBrin", 43_200)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Analytics"},
        {"name": "pg_catalog"},
        {"index": "Hash"},
        {"chunkInterval": "0d"},
        {"chunkInterval": "1 d"},
        {"chunkInterval": "1d\n"},
        {"chunkInterval": "1M"},
        {"chunkInterval": "59s"},
        {"chunkInterval": "3651d"},
        {"chunkInterval": "1234567s"},
        {"retentoin": "7d"},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SchemaSpec.model_validate(wrong)


@given(st.integers(1, 10**9))
def test_a_formatted_duration_reads_back(seconds: int) -> None:
    assert duration_s(format_duration(seconds)) == seconds


def test_roles_are_named_after_the_schema() -> None:
    roles = Roles.for_schema("m")
    assert (roles.owner, roles.writer, roles.reader) == ("m_owner", "m_writer", "m_reader")


def test_one_role_cannot_play_two_parts() -> None:
    with pytest.raises(ValueError, match="three different roles"):
        Roles("a", "a", "b")
