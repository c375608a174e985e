"""``ingestor check``: will the service work with this database?"""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from ingestor.schema.preflight import Finding, inspect

_MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


def check(
    database_url: Annotated[
        str,
        typer.Option(envvar="INGESTOR_DATABASE_URL", help="Database as the pods reach it, with the writer role."),
    ],
    schema: Annotated[str, typer.Option(envvar="INGESTOR_DATABASE_SCHEMA", help="Schema of our tables.")] = "analytics",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at the database as a pod would; exit 1 where something would keep it from working."""
    try:
        findings = asyncio.run(inspect(database_url, schema))
    except ValueError as error:
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
