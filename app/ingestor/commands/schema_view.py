"""Plans, drops and catalogs as a person reads them."""

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from ingestor.schema.catalog import Catalog, Job
from ingestor.schema.drop import Dropped, DropPreview
from ingestor.schema.durations import format_duration
from ingestor.schema.objects import BOOKKEEPING
from ingestor.schema.plan_jobs import other_jobs
from ingestor.schema.steps import Plan
from ingestor.schema.versions import REQUIRED_VERSION


def show_plan(shown: Plan, *, done: bool) -> None:
    """Print a plan, or what was done of it, as a tree."""
    console = Console(highlight=False)
    for mark, texts in (("unavailable", shown.unavailable), ("failing", shown.failing), ("note", shown.notes)):
        for text in texts:
            console.print(f"[yellow]{mark}[/] {escape(text)}")
    if shown.empty:
        console.print("nothing to do: the database is as asked for")
    else:
        console.print(_plan_tree("done" if done else f"plan {shown.hash}", shown))
    if shown.offer is not None:
        console.print(_plan_tree(f"offered {shown.offer.hash}: what is there works on as it is", shown.offer))


def _plan_tree(title: str, shown: Plan) -> Tree:
    tree = Tree(title)
    for problem in shown.problems:
        tree.add(f"[red]problem[/] {escape(problem.message)}")
    for step in shown.steps:
        mark = "" if step.safety == "safe" else "[yellow]held[/] "
        branch = tree.add(mark + escape(step.sentence))
        if step.reason:
            branch.add(escape(f"because it {step.reason}; approve it with --approve {shown.hash}"))
    return tree


def summary_of(catalog: Catalog) -> dict[str, object]:
    """Return what is in a database, topic by topic."""
    hypertable, applied = catalog.hypertable, catalog.migrations
    samples = "not a hypertable"
    if hypertable is not None:
        interval = format_duration(hypertable.interval_us // 1_000_000)
        samples = f"{hypertable.chunks} chunks of {interval}, {hypertable.size_bytes / 2**20:.1f} MiB"
    rights = sorted(catalog.grants, key=lambda grant: (grant.grantee, grant.name, grant.privilege))
    version = max((migration.version for migration in applied), default=0)
    build = "community" if catalog.extension.community else "Apache"
    return {
        "timescaledb": f"{catalog.extension.version} ({build})" if catalog.extension.version else "not installed",
        "version": f"{version}, the service needs {REQUIRED_VERSION}",
        "migrations": [f"{migration.version} {migration.name}" for migration in applied],
        "samples": samples,
        "indexes_of_samples": [
            f"{index.name} ({index.method}: {', '.join(index.columns)})" for index in catalog.indexes
        ],
        "ageing": [*_columnstore(catalog), *(_job(job, others=other_jobs(catalog)) for job in catalog.jobs)],
        "objects": [
            f"{item.kind} {item.name}{'' if item.key in catalog.made else ' (not ours)'}"
            for item in catalog.objects
            if item.kind != "index" and item.key not in BOOKKEEPING
        ],
        "rights": [f"{grant.grantee}: {grant.privilege} on {grant.name}" for grant in rights],
    }


def _columnstore(catalog: Catalog) -> list[str]:
    settings, chunks = catalog.columnstore, catalog.chunks_of("samples")
    if settings is None:
        return []
    how = f"segments by {', '.join(settings.segment_by) or 'nothing'}, in order of {', '.join(settings.order_by)}"
    converted, earlier = sum(one.converted for one in chunks), sum(one.earlier for one in chunks)
    others = f", {earlier} of them by earlier settings" if earlier else ""
    return [f"samples by columns: {how}; {converted} of {len(chunks)} chunks{others}"]


def _job(job: Job, *, others: tuple[Job, ...]) -> str:
    number = f"job {job.id}, not ours" if job in others else f"job {job.id}"
    every = f"every {format_duration(job.schedule_s)}{'' if job.scheduled else ', paused'} ({number})"
    if job.kind == "other":
        return f"{job.title} of {job.relation} {every}"
    if job.kind == "refresh":
        window = [format_duration(seconds) if seconds else "any" for seconds in (job.start_s, job.end_s)]
        return f"refresh {job.relation} from {window[0]} to {window[1]} ago {every}"
    verb = "convert" if job.kind == "columnstore" else "drop"
    return f"{verb} chunks of {job.relation} from an age of {format_duration(job.after_s or 0)} on {every}"


def preview_tree(schema: str, preview: DropPreview) -> Tree:
    """Return what a drop would remove."""
    tree = Tree(f"a drop of schema {schema} removes for good")
    for table in preview.tables:
        rows = "rows not counted yet" if table.rows is None else f"about {table.rows:,} rows"
        tree.add(f"table {escape(table.name)}: {rows}, {table.size_bytes / 2**20:,.1f} MiB")
    for kind, name in preview.objects:
        if kind != "table":
            tree.add(f"{kind} {escape(name)}")
    return tree


def dropped_tree(schema: str, dropped: Dropped) -> Tree:
    """Return what a drop removed."""
    tree = Tree(f"schema {schema} is dropped" if dropped.schema else f"dropped from schema {schema}, which stays")
    for kind, name in dropped.objects:
        tree.add(f"{kind} {escape(name)}")
    for line in dropped.kept:
        tree.add(f"[yellow]kept[/] {escape(line)}")
    return tree
