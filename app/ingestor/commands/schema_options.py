"""What the commands of ``ingestor schema`` take, and how they end where it is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console

from ingestor.schema.bootstrap import Roles
from ingestor.schema.spec import SchemaSpec

Result = TypeVar("Result")

OwnerUrl = Annotated[
    str,
    typer.Option(
        "--database-url",
        envvar="INGESTOR_OWNER_DATABASE_URL",
        help="Database with the owner role, reached directly and not through a pooler.",
    ),
]
AdminUrl = Annotated[
    str, typer.Option(envvar="INGESTOR_ADMIN_DATABASE_URL", help="The same database with a superuser.")
]
SchemaName = Annotated[str, typer.Option("--schema", envvar="INGESTOR_DATABASE_SCHEMA", help="Schema of our tables.")]
IndexOption = Annotated[
    str | None, typer.Option("--index", help="SeriesTime (if left out) reads fast; TimeBrin writes fast.")
]
IntervalOption = Annotated[
    str | None, typer.Option("--chunk-interval", help="Time of one chunk, such as 12h; 1d if left out.")
]
OwnerRole = Annotated[str | None, typer.Option(help="Role that owns the schema; <schema>_owner if left out.")]
WriterRole = Annotated[str | None, typer.Option(help="Role of the pods; <schema>_writer if left out.")]
ReaderRole = Annotated[str | None, typer.Option(help="Role of those who query; <schema>_reader if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SpecFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="YAML of the schema asked for: an Ingestor, or what stands in its spec.schema; - is standard input.",
    ),
]

_OPERATOR_ALONE = {"managementPolicy", "reclaimPolicy", "driftPolicy", "approvedPlan"}
"""Fields of an Ingestor's spec.schema that say what the operator may do, not what the schema is."""


def read_spec(
    file: Path | None, schema: str, index: str | None = None, chunk_interval: str | None = None
) -> SchemaSpec:
    """Return what is asked for, from a file or from options, or leave with one line about what is wrong."""
    options = {"index": index, "chunkInterval": chunk_interval}
    fields = {"name": schema} | {name: value for name, value in options.items() if value is not None}
    if file is not None:
        if len(fields) > 1:
            fail("--file says all of the schema: leave --index and --chunk-interval out")
        fields |= _read_file(file)
    return checked(lambda: SchemaSpec.model_validate(fields))


def _read_file(file: Path) -> dict[str, Any]:
    try:
        # Bytes: YAML has an encoding of its own, whatever the locale's is.
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        content = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        fail(f"can't read {file}: {' '.join(str(error).split())}")
    if isinstance(content, dict) and content.get("kind") == "Ingestor":
        content = (content.get("spec") or {}).get("schema")
    if content is None:
        return {}
    if not isinstance(content, dict):
        fail(f"{file} holds no schema: write an Ingestor, or what stands in its spec.schema")
    return {name: value for name, value in content.items() if name not in _OPERATOR_ALONE}


def role_names(schema: str, owner: str | None, writer: str | None, reader: str | None) -> Roles:
    """Return the roles of a schema; those left out are named after it."""

    def build() -> Roles:
        default = Roles.for_schema(schema)
        return Roles(owner or default.owner, writer or default.writer, reader or default.reader)

    return checked(build)


def checked(build: Callable[[], Result]) -> Result:
    """Return what ``build`` returns, or leave with one line about what it refuses."""
    try:
        return build()
    except ValidationError as error:
        faults = error.errors(include_input=False)
        fail("; ".join(f"{'.'.join(map(str, fault['loc'])) or 'schema'}: {fault['msg']}" for fault in faults))
    except ValueError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Leave with exit code 1 and one line on standard error."""
    Console(stderr=True, highlight=False).print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1)
