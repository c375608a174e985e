"""Plan what is dropped by age. Whatever would drop more than may be dropped today waits for approval. Pure."""

from datetime import UTC, datetime

from ingestor.schema.catalog import Catalog, Chunk
from ingestor.schema.durations import duration_s, format_duration
from ingestor.schema.identifiers import quote_identifier, quote_literal
from ingestor.schema.lifecycle import Retention
from ingestor.schema.policies import add_policy, alter_policy, functions_of, interval, relation_literal, remove_policy
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Step


def retention_steps(spec: SchemaSpec, catalog: Catalog, relation: str, wanted: Retention | None) -> list[Step]:
    """Return the steps to the retention of samples or of a rollup: a policy, or on Apache builds our own drop."""
    if catalog.extension.community:
        return _policy(spec, catalog, relation, wanted)
    return _own(spec, catalog, relation, wanted)


def _policy(spec: SchemaSpec, catalog: Catalog, relation: str, wanted: Retention | None) -> list[Step]:
    job = catalog.job("retention", relation)
    if wanted is None:
        statements = () if job is None else (remove_policy(catalog, job),)
        return [Step("retention", relation, statements, f"drop nothing of {relation} any more")] if statements else []
    after_s, schedule_s = duration_s(wanted.drop_after), duration_s(wanted.schedule_interval)
    if job is not None and (job.after_s, job.schedule_s, job.scheduled) == (after_s, schedule_s, True):
        return []
    if job is None:
        arguments = {"drop_after": after_s, "schedule_interval": schedule_s}
        statement = add_policy(catalog, "add_retention_policy", relation_literal(spec.name, relation), arguments)
    else:
        statement = alter_policy(catalog, job, schedule_s, {"drop_after": after_s})
    present_s = job.after_s if job is not None and job.scheduled else None
    return [_weigh(catalog, relation, wanted, present_s, (statement,))]


def _own(spec: SchemaSpec, catalog: Catalog, relation: str, wanted: Retention | None) -> list[Step]:
    """Return the same by what the table ``retention`` remembers, and the drop itself, which is due at every look."""
    table, name = f"{quote_identifier(spec.name)}.retention", quote_literal(relation)
    present_s = dict(catalog.kept_s).get(relation)
    if wanted is None:
        forget = f"DELETE FROM {table} WHERE relation = {name}"
        sentence = f"drop nothing of {relation} any more"
        return [Step("retention", relation, (forget,), sentence)] if present_s is not None else []
    after_s = duration_s(wanted.drop_after)
    if present_s != after_s:
        remember = (
            f"INSERT INTO {table} (relation, keep_s) VALUES ({name}, {after_s})"
            " ON CONFLICT (relation) DO UPDATE SET keep_s = excluded.keep_s, changed_at = now()"
        )
        statements = (remember, *_drop(spec, catalog, relation, after_s))
        return [_weigh(catalog, relation, wanted, present_s, statements)]
    statements = _drop(spec, catalog, relation, after_s)
    gone = _older(catalog, relation, after_s)
    sentence = f"drop {_amount(gone)} of {relation}, older than {wanted.drop_after}"
    return [Step("drop_chunks", relation, statements, sentence)] if statements else []


def _drop(spec: SchemaSpec, catalog: Catalog, relation: str, after_s: int) -> tuple[str, ...]:
    if not _older(catalog, relation, after_s):
        return ()
    target = relation_literal(spec.name, relation)
    return (f"SELECT {functions_of(catalog)}.drop_chunks({target}, older_than => {interval(after_s)})",)


def _weigh(
    catalog: Catalog, relation: str, wanted: Retention, present_s: int | None, statements: tuple[str, ...]
) -> Step:
    """Return the step, held where chunks go that could stay until now."""
    after_s = duration_s(wanted.drop_after)
    sentence = f"drop chunks of {relation} from an age of {wanted.drop_after} on"
    if present_s is not None and present_s != after_s:
        sentence += f" instead of {format_duration(present_s)}"
    allowed = () if present_s is None else _older(catalog, relation, present_s)
    gone = [chunk for chunk in _older(catalog, relation, after_s) if chunk not in allowed]
    if not gone:
        return Step("retention", relation, statements, sentence)
    newest = datetime.fromtimestamp(max(chunk.end_us for chunk in gone) / 1e6, UTC)
    return Step(
        "retention",
        relation,
        statements,
        sentence,
        safety="held",
        reason=f"drops {_amount(gone)}, everything before {newest:%Y-%m-%d %H:%M} UTC",
        basis=tuple(chunk.name for chunk in gone),
    )


def _older(catalog: Catalog, relation: str, after_s: int) -> tuple[Chunk, ...]:
    border_us = catalog.server.now_us - after_s * 1_000_000
    return tuple(chunk for chunk in catalog.chunks_of(relation) if chunk.end_us <= border_us)


def _amount(chunks: list[Chunk] | tuple[Chunk, ...]) -> str:
    number = f"{len(chunks)} chunk{'' if len(chunks) == 1 else 's'}"
    return f"{number} with about {sum(chunk.rows for chunk in chunks):,} rows"
