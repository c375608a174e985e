"""``ingestor schema``: see and change what the database looks like."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from ingestor.errors import IngestorError
from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.bootstrap import Roles, bootstrap, bootstrap_sql
from ingestor.schema.catalog import Catalog
from ingestor.schema.drop import Dropped, DropPreview, drop_schema, preview_drop
from ingestor.schema.durations import format_duration
from ingestor.schema.objects import BOOKKEEPING
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, Plan
from ingestor.schema.versions import REQUIRED_VERSION

schema_app = typer.Typer(no_args_is_help=True, help="See and change what the database looks like.")

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
IndexOption = Annotated[str, typer.Option("--index", help="SeriesTime reads fast; TimeBrin writes fast.")]
IntervalOption = Annotated[str, typer.Option("--chunk-interval", help="Time of one chunk, such as 12h or 1d.")]
OwnerRole = Annotated[str | None, typer.Option(help="Role that owns the schema; <schema>_owner if left out.")]
WriterRole = Annotated[str | None, typer.Option(help="Role of the pods; <schema>_writer if left out.")]
ReaderRole = Annotated[str | None, typer.Option(help="Role of those who query; <schema>_reader if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@schema_app.command()
def plan(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    index: IndexOption = "SeriesTime",
    chunk_interval: IntervalOption = "1d",
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    as_json: AsJson = False,
) -> None:
    """Say what apply would do, and change nothing; exit 1 where it could not."""
    spec, roles = _spec(schema, index, chunk_interval), _roles(schema, owner_role, writer_role, reader_role)
    result = _run(plan_schema(database_url, spec, roles=roles))
    _show_plan(result, as_json=as_json, done=False)
    if result.problems:
        raise typer.Exit(1)


@schema_app.command()
def apply(
    database_url: OwnerUrl,
    schema: SchemaName = "analytics",
    index: IndexOption = "SeriesTime",
    chunk_interval: IntervalOption = "1d",
    owner_role: OwnerRole = None,
    writer_role: WriterRole = None,
    reader_role: ReaderRole = None,
    approve: Annotated[str | None, typer.Option(help="Hash of the plan whose held steps may run as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the database what is asked for; a second run changes nothing."""
    spec, roles = _spec(schema, index, chunk_interval), _roles(schema, owner_role, writer_role, reader_role)
    try:
        result = _run(apply_schema(database_url, spec, roles=roles, approved=approve))
    except HeldError as error:
        _show_plan(error.plan, as_json=as_json, done=False)
        _fail(f"{error}; run again with --approve {error.plan.hash}")
    _show_plan(result, as_json=as_json, done=True)


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
    spec, roles = _spec(schema, "SeriesTime", "1d"), _roles(schema, owner_role, writer_role, reader_role)
    catalog = _run(read_schema(database_url, spec, roles=roles))
    if as_json:
        typer.echo(json.dumps(_summary(catalog), indent=2))
        return
    tree = Tree(f"schema {schema} in database {catalog.server.database}")
    for topic, value in _summary(catalog).items():
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
    names = _roles(schema, owner_role, writer_role, reader_role)
    roles = Roles(names.owner, names.writer, names.reader, owner_password, writer_password, reader_password)
    if print_sql:
        database = unquote(urlsplit(admin_url).path.lstrip("/"))
        if not database:
            _fail("the URL names no database; write postgresql://user@host:5432/database")
        typer.echo(_checked(lambda: bootstrap_sql(database, roles, schema)), nl=False)
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
    spec, roles = _spec(schema, "SeriesTime", "1d"), _roles(schema, owner_role, writer_role, reader_role)
    preview = _run(preview_drop(database_url, spec, roles=roles))
    console = Console(highlight=False)
    if not preview.objects:
        console.print(f"nothing to do: schema {schema} holds nothing of ours")
        return
    if not yes:
        console.print(_preview_tree(schema, preview))
        _fail("nothing was dropped; run again with --yes to drop it for good")
    console.print(_dropped_tree(schema, _run(drop_schema(database_url, spec, roles=roles))))


def _preview_tree(schema: str, preview: DropPreview) -> Tree:
    tree = Tree(f"a drop of schema {schema} removes for good")
    for table in preview.tables:
        rows = "rows not counted yet" if table.rows is None else f"about {table.rows:,} rows"
        tree.add(f"table {escape(table.name)}: {rows}, {table.size_bytes / 2**20:,.1f} MiB")
    for kind, name in preview.objects:
        if kind != "table":
            tree.add(f"{kind} {escape(name)}")
    return tree


def _dropped_tree(schema: str, dropped: Dropped) -> Tree:
    tree = Tree(f"schema {schema} is dropped" if dropped.schema else f"dropped from schema {schema}, which stays")
    for kind, name in dropped.objects:
        tree.add(f"{kind} {escape(name)}")
    for line in dropped.kept:
        tree.add(f"[yellow]kept[/] {escape(line)}")
    return tree


def _spec(schema: str, index: str, chunk_interval: str) -> SchemaSpec:
    return _checked(
        lambda: SchemaSpec.model_validate({"name": schema, "index": index, "chunkInterval": chunk_interval})
    )


def _roles(schema: str, owner: str | None, writer: str | None, reader: str | None) -> Roles:
    def build() -> Roles:
        default = Roles.for_schema(schema)
        return Roles(owner or default.owner, writer or default.writer, reader or default.reader)

    return _checked(build)


def _checked(build: Callable[[], Result]) -> Result:
    """Return what ``build`` returns, or leave with one line about the option that it refuses."""
    try:
        return build()
    except ValidationError as error:
        _fail("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False)))
    except ValueError as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work``, or leave with one line about what to do; held steps are the caller's to show."""
    try:
        return asyncio.run(work)
    except HeldError:
        raise
    except (IngestorError, ValueError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _show_plan(shown: Plan, *, as_json: bool, done: bool) -> None:
    if as_json:
        typer.echo(json.dumps(shown.to_json(), indent=2))
        return
    console = Console(highlight=False)
    if shown.empty:
        console.print("nothing to do: the database is as asked for")
        return
    tree = Tree("done" if done else f"plan {shown.hash}")
    for problem in shown.problems:
        tree.add(f"[red]problem[/] {escape(problem.message)}")
    for step in shown.steps:
        mark = "" if step.safety == "safe" else "[yellow]held[/] "
        branch = tree.add(mark + escape(step.sentence))
        if step.reason:
            branch.add(escape(f"because it {step.reason}; approve it with --approve {shown.hash}"))
    console.print(tree)


def _summary(catalog: Catalog) -> dict[str, object]:
    hypertable, applied = catalog.hypertable, catalog.migrations
    samples = "not a hypertable"
    if hypertable is not None:
        interval = format_duration(hypertable.interval_us // 1_000_000)
        samples = f"{hypertable.chunks} chunks of {interval}, {hypertable.size_bytes / 2**20:.1f} MiB"
    rights = sorted(catalog.grants, key=lambda grant: (grant.grantee, grant.name, grant.privilege))
    version = max((migration.version for migration in applied), default=0)
    return {
        "timescaledb": catalog.extension.version or "not installed",
        "version": f"{version}, the service needs {REQUIRED_VERSION}",
        "migrations": [f"{migration.version} {migration.name}" for migration in applied],
        "samples": samples,
        "indexes_of_samples": [
            f"{index.name} ({index.method}: {', '.join(index.columns)})" for index in catalog.indexes
        ],
        "objects": [
            f"{item.kind} {item.name}{'' if item.key in catalog.made else ' (not ours)'}"
            for item in catalog.objects
            if item.kind != "index" and item.key not in BOOKKEEPING
        ],
        "rights": [f"{grant.grantee}: {grant.privilege} on {grant.name}" for grant in rights],
    }
