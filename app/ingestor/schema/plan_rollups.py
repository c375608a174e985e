"""Plan the rollups: continuous aggregates whose definition is ours and whose comment tells which one it is. Pure."""

from dataclasses import replace
from datetime import UTC, datetime

from ingestor.schema.catalog import Aggregate, Catalog, Chunk
from ingestor.schema.durations import duration_s
from ingestor.schema.identifiers import quote_identifier, quote_literal, quote_relation
from ingestor.schema.lifecycle import Rollup
from ingestor.schema.ownership import forget_made, record_made
from ingestor.schema.plan_retention import retention_steps
from ingestor.schema.policies import add_policy, alter_policy, functions_of, interval, relation_literal
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Step

_ORIGIN_US = 946_857_600_000_000
"""A bucket of any width begins at 2000-01-03 00:00 UTC, a Monday. Source: TimescaleDB, time_bucket()."""

_DEFINITION = 2
"""Number of the query below; another query is another rollup. That of 1 took every value, so that two near the largest
number made each refresh fail."""
MAX_VALUE = "1e290"
"""Values up to this, or down to its negative, are summed up; their sum is finite, however many they are."""


def rollup_steps(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> list[Step]:
    """Return the steps to the rollups of the spec, on a build that has continuous aggregates."""
    present = {one.name: one for one in catalog.aggregates if ("rollup", one.name) in catalog.made}
    steps: list[Step] = []
    for rollup in spec.rollups:
        aggregate = present.pop(rollup.name, None)
        if aggregate is None:
            steps += _make(spec, catalog, rollup)
        elif aggregate.comment == comment_of(rollup) or _is_earlier(rollup, aggregate):
            steps += _keep(spec, catalog, rollup, aggregate)
        else:
            steps += _redefine(spec, catalog, rollup, roles, f"in buckets of {rollup.bucket}")
    return steps + [_drop(spec, catalog, name, "which is not asked for any more") for name in sorted(present)]


def offered_steps(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> list[Step]:
    """Return the steps that make rollups of an earlier definition anew; as they are they work on."""
    present = {one.name: one for one in catalog.aggregates if ("rollup", one.name) in catalog.made}
    why = f"from values of -{MAX_VALUE} to {MAX_VALUE} alone, so that no other value can break it"
    earlier = [one for one in spec.rollups if one.name in present and _is_earlier(one, present[one.name])]
    return [step for rollup in earlier for step in _redefine(spec, catalog, rollup, roles, why)]


def comment_of(rollup: Rollup, definition: int = _DEFINITION) -> str:
    """Return the comment that tells a rollup's definition."""
    return f"analytics-ingestor: rollup {definition} of {duration_s(rollup.bucket)} s"


def _is_earlier(rollup: Rollup, aggregate: Aggregate) -> bool:
    """Return True if the rollup is what was asked for, as an earlier release defined it."""
    return any(aggregate.comment == comment_of(rollup, number) for number in range(1, _DEFINITION))


def _keep(spec: SchemaSpec, catalog: Catalog, rollup: Rollup, aggregate: Aggregate) -> list[Step]:
    steps = []
    if aggregate.materialized_only:
        view = quote_relation(spec.name, rollup.name)
        statement = f"ALTER MATERIALIZED VIEW {view} SET (timescaledb.materialized_only = false)"
        steps.append(Step("rollup", rollup.name, (statement,), f"let {rollup.name} show the newest points too"))
    job, refresh = catalog.job("refresh", rollup.name), rollup.refresh
    start_s, end_s = duration_s(refresh.start_offset), duration_s(refresh.end_offset)
    schedule_s = duration_s(refresh.schedule_interval)
    if job is None:
        steps += [*_backfill(spec, catalog, rollup), _add_refresh(spec, catalog, rollup)]
    elif (job.start_s, job.end_s, job.schedule_s, job.scheduled) != (start_s, end_s, schedule_s, True):
        change = alter_policy(catalog, job, schedule_s, {"start_offset": start_s, "end_offset": end_s})
        steps.append(Step("refresh", rollup.name, (change,), _refresh_sentence(rollup)))
    return steps + retention_steps(spec, catalog, rollup.name, rollup.retention)


def _make(spec: SchemaSpec, catalog: Catalog, rollup: Rollup) -> list[Step]:
    sentence = f"make rollup {rollup.name}: each series in buckets of {rollup.bucket}"
    return [
        Step("rollup", rollup.name, _create_statements(spec, catalog, rollup), sentence),
        *_backfill(spec, catalog, rollup),
        _add_refresh(spec, catalog, rollup),
        *retention_steps(spec, catalog, rollup.name, rollup.retention),
    ]


def _create_statements(spec: SchemaSpec, catalog: Catalog, rollup: Rollup) -> tuple[str, ...]:
    functions = functions_of(catalog)
    view = quote_relation(spec.name, rollup.name)
    create = (
        f"CREATE MATERIALIZED VIEW {view} WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS"
        f" SELECT {functions}.time_bucket({interval(duration_s(rollup.bucket))}, time) AS bucket, series_id,"
        " count(value) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max,"
        f" {functions}.last(value, time) AS last"
        f" FROM {quote_identifier(spec.name)}.samples WHERE abs(value) <= {MAX_VALUE} GROUP BY 1, 2 WITH NO DATA"
    )
    comment = f"COMMENT ON VIEW {view} IS {quote_literal(comment_of(rollup))}"
    return create, comment, record_made(spec.name, (("rollup", rollup.name),))


def _backfill(spec: SchemaSpec, catalog: Catalog, rollup: Rollup) -> list[Step]:
    """Return the step that sums up what is there already, a chunk at a time.

    Before the policy, which would let everything older than its window look empty, and only over chunks that are
    there: a refresh of dropped ones would drop their sums too. Safe to repeat.
    """
    window_us = catalog.server.now_us - duration_s(rollup.refresh.start_offset) * 1_000_000
    older = [chunk for chunk in catalog.chunks_of("samples") if chunk.start_us < window_us]
    if not older:
        return []
    view, bucket_us = relation_literal(spec.name, rollup.name), duration_s(rollup.bucket) * 1_000_000
    calls = tuple(
        f"CALL {functions_of(catalog)}.refresh_continuous_aggregate({view}, {_time(start)}, {_time(end)})"
        for start, end in _windows([(chunk.start_us, chunk.end_us) for chunk in older], bucket_us)
    )
    sentence = f"sum up {len(older)} chunks with about {sum(chunk.rows for chunk in older):,} rows in {rollup.name}"
    return [Step("rollup", rollup.name, calls, sentence, transactional=False)]


def _windows(ranges: list[tuple[int, int]], bucket_us: int) -> list[tuple[int, int]]:
    """Return ranges of whole buckets that cover ``ranges``, oldest first, each of a chunk or more."""
    windows: list[tuple[int, int]] = []
    offset_us = _ORIGIN_US % bucket_us
    for start_us, end_us in ranges:
        start = (start_us - offset_us) // bucket_us * bucket_us + offset_us
        end = -((offset_us - end_us) // bucket_us) * bucket_us + offset_us
        if windows and start < windows[-1][1]:
            start = windows[-1][1]
        if start < end:
            windows.append((start, end))
    return windows


def _time(us: int) -> str:
    return f"to_timestamp({us} / 1000000.0)"


def _add_refresh(spec: SchemaSpec, catalog: Catalog, rollup: Rollup) -> Step:
    refresh = rollup.refresh
    arguments = {
        "start_offset": duration_s(refresh.start_offset),
        "end_offset": duration_s(refresh.end_offset),
        "schedule_interval": duration_s(refresh.schedule_interval),
    }
    target = relation_literal(spec.name, rollup.name)
    statement = add_policy(catalog, "add_continuous_aggregate_policy", target, arguments)
    return Step("refresh", rollup.name, (statement,), _refresh_sentence(rollup))


def _refresh_sentence(rollup: Rollup) -> str:
    refresh = rollup.refresh
    window = f"from {refresh.start_offset} to {refresh.end_offset} ago"
    return f"refresh {rollup.name} {window} every {refresh.schedule_interval}"


def _redefine(spec: SchemaSpec, catalog: Catalog, rollup: Rollup, roles: Roles, how: str) -> list[Step]:
    """Return the steps to another definition, all of them held: they need the old one to be gone."""
    drop = _drop(spec, catalog, rollup.name, f"to make it anew {how}")
    without = replace(
        catalog,
        jobs=tuple(job for job in catalog.jobs if job.relation != rollup.name),
        chunks=tuple(chunk for chunk in catalog.chunks if chunk.relation != rollup.name),
    )
    make, *others = _make(spec, without, rollup)
    # The reader's right goes with the old view, which the step of rights does not foresee.
    view = quote_relation(spec.name, rollup.name)
    grant = f"GRANT SELECT ON TABLE {view} TO {quote_identifier(roles.reader)}"
    make = replace(make, statements=(*make.statements, grant))
    reason = f"needs the drop of the {rollup.name} that is there"
    return [drop, *(replace(step, safety="held", reason=reason) for step in (make, *others))]


def _drop(spec: SchemaSpec, catalog: Catalog, name: str, why: str) -> Step:
    chunks = catalog.chunks_of(name)
    view = quote_relation(spec.name, name)
    return Step(
        "rollup",
        name,
        (f"DROP MATERIALIZED VIEW {view}", forget_made(spec.name, ("rollup", name))),
        f"drop rollup {name}, {why}",
        safety="held",
        reason=f"drops {_history(catalog, chunks)}",
        basis=tuple(chunk.name for chunk in chunks),
    )


def _history(catalog: Catalog, chunks: tuple[Chunk, ...]) -> str:
    """Return how much is in a rollup's chunks, and which part of it is gone for good once they are."""
    amount = f"about {sum(chunk.rows for chunk in chunks):,} rows in {len(chunks)} chunks"
    text = f"{amount}; what is older than the points that are still there can't be summed up again"
    points = catalog.chunks_of("samples")
    first_us = points[0].start_us if points else None
    lost = [chunk for chunk in chunks if first_us is None or chunk.start_us < first_us]
    if not lost:
        return text
    until_us = lost[-1].end_us if first_us is None else min(lost[-1].end_us, first_us)
    return f"{text}: everything before {datetime.fromtimestamp(until_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
