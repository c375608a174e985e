"""``ingestor schema``: see and change what the database looks like."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from ingestor.commands.schema_options import (
    AdminUrl,
    AsJson,
    IndexOption,
    IntervalOption,
    OwnerRole,
    OwnerUrl,
    ReaderRole,
    Result,
    SchemaName,
    SpecFile,
    WriterRole,
    checked,
    fail,
    read_spec,
    role_names,
)
from ingestor.commands.schema_view import dropped_tree, preview_tree, show_plan, summary_of
from ingestor.database_url import clean_database_url
from ingestor.errors import IngestorError
from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.bootstrap import Roles, bootstrap, bootstrap_sql
from ingestor.schema.drop import drop_schema, preview_drop
from ingestor.schema.steps import HeldError, Plan

schema_app = typer.Typer(no_args_is_help=True, help="See and change what the database looks like.")


@schema_app.command()
def plan(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    file: SpecFile = None,
    index: IndexOption = None,
    chunk_interval: IntervalOption = None,
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    as_json: AsJson = False,
) -> None:
    """Say what apply would do, and change nothing; exit 1 if it could not, or if a policy failed when it ran last."""
    spec = read_spec(file, schema, index, chunk_interval)
    roles = role_names(schema, owner_role, writer_role, reader_role)
    result = _run(plan_schema(database_url, spec, roles=roles))
    _show(result, as_json=as_json, done=False)
    if result.problems or result.failing:
        raise typer.Exit(1)


@schema_app.command()
def apply(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    file: SpecFile = None,
    index: IndexOption = None,
    chunk_interval: IntervalOption = None,
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    approve: Annotated[str | None, typer.Option(help="Hash of the plan whose held steps may run as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the database what is asked for; a second run changes nothing."""
    spec = read_spec(file, schema, index, chunk_interval)
    roles = role_names(schema, owner_role, writer_role, reader_role)
    try:
        result = _run(apply_schema(database_url, spec, roles=roles, approved=approve))
    except HeldError as error:
        _show(error.plan, as_json=as_json, done=False)
        fail(f"{error}; run again with --approve {error.plan.hash}")
    _show(result, as_json=as_json, done=True)


@schema_app.command()
def show(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in the database now."""
    spec, roles = read_spec(None, schema), role_names(schema, owner_role, writer_role, reader_role)
    catalog = _run(read_schema(database_url, spec, roles=roles))
    if as_json:
        typer.echo(json.dumps(summary_of(catalog), indent=2))
        return
    tree = Tree(f"schema {schema} in database {catalog.server.database}")
    for topic, value in summary_of(catalog).items():
        branch = tree.add(escape(topic.replace("_", " ")))
        for line in value if isinstance(value, list) else [value]:
            branch.add(escape(str(line)))
    Console(highlight=False).print(tree)


@schema_app.command(name="bootstrap")
def bootstrap_command(
    admin_url: AdminUrl,
    schema: SchemaName = "analytics",
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    owner_password: Annotated[str | None, typer.Option(envvar="INGESTOR_OWNER_PASSWORD")] = None,
    writer_password: Annotated[str | None, typer.Option(envvar="INGESTOR_WRITER_PASSWORD")] = None,
    reader_password: Annotated[str | None, typer.Option(envvar="INGESTOR_READER_PASSWORD")] = None,
    print_sql: Annotated[bool, typer.Option("--print", help="Print the SQL for a superuser, connect nowhere.")] = False,
) -> None:
    """Make the three roles and the extension, once, as a superuser; safe to repeat."""
    names = role_names(schema, owner_role, writer_role, reader_role)
    roles = Roles(names.owner, names.writer, names.reader, owner_password, writer_password, reader_password)
    if print_sql:
        database = unquote(urlsplit(checked(lambda: clean_database_url(admin_url))).path.lstrip("/"))
        if not database:
            fail("the URL names no database; write postgresql://user@host:5432/database")
        typer.echo(checked(lambda: bootstrap_sql(database, roles, schema)), nl=False)
        return
    _run(bootstrap(admin_url, roles, schema))
    Console(highlight=False).print(f"roles {names.owner}, {names.writer} and {names.reader} are ready")


@schema_app.command()
def drop(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    yes: Annotated[bool, typer.Option("--yes", help="Drop; else only say what would go, and exit 1.")] = False,
) -> None:
    """Remove what we made, all points included, and nothing else; a second run changes nothing."""
    spec, roles = read_spec(None, schema), role_names(schema, owner_role, writer_role, reader_role)
    preview = _run(preview_drop(database_url, spec, roles=roles))
    console = Console(highlight=False)
    if not preview.objects:
        console.print(f"nothing to do: schema {schema} holds nothing of ours")
        return
    if not yes:
        console.print(preview_tree(schema, preview))
        fail("nothing was dropped; run again with --yes to drop it for good")
    console.print(dropped_tree(schema, _run(drop_schema(database_url, spec, roles=roles))))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work``, or leave with one line about what to do; held steps are the caller's to show."""
    try:
        return asyncio.run(work)
    except HeldError:
        raise
    except (IngestorError, ValueError) as error:
        fail(str(error))


def _show(plan: Plan, *, as_json: bool, done: bool) -> None:
    if as_json:
        typer.echo(json.dumps(plan.to_json(), indent=2))
    else:
        show_plan(plan, done=done)
