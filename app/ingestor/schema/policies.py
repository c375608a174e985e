"""SQL of TimescaleDB's policies: add, change in place so that a job keeps its number and history, remove. Pure."""

import json
from collections.abc import Mapping

from ingestor.schema.catalog import Catalog, Job
from ingestor.schema.identifiers import quote_identifier, quote_literal, quote_relation

FALLBACK_SCHEMA = "timescaledb"
"""Where the extension goes in a database whose `public` is gone, or closed to us."""


def functions_of(catalog: Catalog) -> str:
    """Return the quoted schema of TimescaleDB's functions."""
    return quote_identifier(catalog.extension.schema)


def relation_literal(schema: str, relation: str) -> str:
    """Return a relation of ours as TimescaleDB's functions take it."""
    return quote_literal(quote_relation(schema, relation))


def interval(seconds: int) -> str:
    """Return an interval constant."""
    return f"INTERVAL '{seconds} seconds'"


def add_policy(catalog: Catalog, function: str, target: str, arguments: Mapping[str, int]) -> str:
    """Return the call that adds a policy; ``arguments`` are intervals in seconds by name."""
    listed = "".join(f", {name} => {interval(seconds)}" for name, seconds in arguments.items())
    return f"SELECT {functions_of(catalog)}.{function}({target}{listed})"


def alter_policy(catalog: Catalog, job: Job, schedule_s: int, config: Mapping[str, int]) -> str:
    """Return the statement that changes a job's schedule and intervals (seconds) and enables it.

    A policy may go by when chunks were made, too, which wins over the interval, so that is taken away.
    """
    changes = quote_literal(json.dumps({name: f"{seconds} seconds" for name, seconds in config.items()}))
    return (
        f"SELECT {functions_of(catalog)}.alter_job(job_id, schedule_interval => {interval(schedule_s)},"
        f" scheduled => true, config => config - 'compress_created_before' - 'drop_created_before' || {changes}::jsonb)"
        f" FROM timescaledb_information.jobs WHERE job_id = {job.id}"
    )


def remove_policy(catalog: Catalog, job: Job) -> str:
    """Return the call that ends a job."""
    return f"SELECT {functions_of(catalog)}.delete_job({job.id})"
