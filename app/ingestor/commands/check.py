"""``ingestor check``: will the service work with this database?"""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from ingestor.config import load_settings
from ingestor.errors import ConfigurationError
from ingestor.schema.preflight import Finding
from ingestor.storage.rehearsal import rehearse

_MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


def check(
    database_url: Annotated[
        str,
        typer.Option(envvar="INGESTOR_DATABASE_URL", help="Database as the pods reach it, with the writer role."),
    ],
    schema: Annotated[str, typer.Option(envvar="INGESTOR_DATABASE_SCHEMA", help="Schema of our tables.")] = "analytics",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Connect as a pod does, with its INGESTOR_* settings, and write what it writes, to take it back.

    Exits with 0 if a server works with this database, warnings or not, with 1 if something is in the way: each problem
    has a line that says what to do.
    """
    try:
        settings = load_settings(database_url=database_url, database_schema=schema)
        findings = asyncio.run(rehearse(database_url, schema, settings.connections))
    except (ConfigurationError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    for finding in findings:
        console.print(_MARKS[finding.level], end=" ")
        console.print(f"{finding.topic}: {finding.sentence}", markup=False, soft_wrap=True)
