"""Plan away what others had TimescaleDB do with our tables: jobs, and points put into the columnstore at once. Pure."""

from dataclasses import replace

from ingestor.schema.catalog import Catalog, Job
from ingestor.schema.identifiers import quote_relation
from ingestor.schema.policies import remove_policy
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Step


def other_jobs(catalog: Catalog) -> tuple[Job, ...]:
    """Return the jobs on samples and on our rollups that no plan of ours makes."""
    ours = {"samples", *(name for kind, name in catalog.made if kind == "rollup")}
    return tuple(job for job in catalog.jobs if job.relation in ours and not _is_planned(catalog, job))


def other_job_steps(catalog: Catalog) -> list[Step]:
    """Return the steps that end them."""
    return [
        Step(
            "job", job.relation, (remove_policy(catalog, job),), f"end the {job.title} of {job.relation} (job {job.id})"
        )
        for job in other_jobs(catalog)
    ]


def direct_steps(spec: SchemaSpec, catalog: Catalog) -> tuple[list[Step], Catalog]:
    """Return the step that has new points stored by rows first, where they are not, and what is there afterwards.

    TimescaleDB ends the policies that convert and compact chunks along with it, whoever made them.
    """
    if catalog.hypertable is None or not catalog.hypertable.direct:
        return [], catalog
    statement = f"ALTER TABLE {quote_relation(spec.name, 'samples')} SET (timescaledb.direct_compress = false)"
    step = Step("columnstore", "samples", (statement,), "store new points of samples by rows first")
    ended = ("policy_compression", "policy_compaction")
    jobs = tuple(job for job in catalog.jobs if job.relation != "samples" or job.procedure not in ended)
    return [step], replace(catalog, hypertable=replace(catalog.hypertable, direct=False), jobs=jobs)


def _is_planned(catalog: Catalog, job: Job) -> bool:
    if job.kind == "other" or catalog.job(job.kind, job.relation) != job:
        return False
    return job.kind != "columnstore" or job.relation == "samples"
