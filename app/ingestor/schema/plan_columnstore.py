"""Plan how old chunks are kept by columns. Pure."""

from ingestor.schema.catalog import Catalog, ColumnstoreSettings
from ingestor.schema.durations import duration_s, format_duration
from ingestor.schema.identifiers import quote_identifier, quote_literal
from ingestor.schema.lifecycle import Columnstore
from ingestor.schema.policies import add_policy, alter_policy, functions_of, relation_literal, remove_policy
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Step


def columnstore_steps(spec: SchemaSpec, catalog: Catalog) -> list[Step]:
    """Return the steps to the columnstore of the spec, on a build that has one."""
    wanted = spec.columnstore
    if wanted is None:
        return _off(spec, catalog)
    return _settings(spec, catalog, wanted) + _policy(spec, catalog, wanted)


def _settings(spec: SchemaSpec, catalog: Catalog, wanted: Columnstore) -> list[Step]:
    settings = ColumnstoreSettings(wanted.segment_by, wanted.order_by)
    if catalog.columnstore == settings:
        return []
    segment_by, order_by = ", ".join(settings.segment_by), ", ".join(settings.order_by)
    statement = (
        f"ALTER TABLE {_samples(spec)} SET (timescaledb.compress,"
        f" timescaledb.compress_segmentby = {quote_literal(segment_by)},"
        f" timescaledb.compress_orderby = {quote_literal(order_by)})"
    )
    how = f"segments by {segment_by or 'nothing'}, in order of {order_by}"
    sentence = f"let old chunks of samples be kept by columns: {how}"
    older = sum(chunk.converted for chunk in catalog.chunks_of("samples"))
    if catalog.columnstore is not None and older:
        sentence += f"; {older} chunks converted before stay as they are"
    return [Step("columnstore", "samples", (statement,), sentence)]


def _policy(spec: SchemaSpec, catalog: Catalog, wanted: Columnstore) -> list[Step]:
    after_s, schedule_s = duration_s(wanted.after), duration_s(wanted.schedule_interval)
    job = catalog.job("columnstore", "samples")
    target = relation_literal(spec.name, "samples")
    text = f"chunks of samples from an age of {wanted.after} on, every {wanted.schedule_interval}"
    if job is None:
        arguments = {"compress_after": after_s, "schedule_interval": schedule_s}
        statement = add_policy(catalog, "add_compression_policy", target, arguments)
        return [Step("columnstore", "samples", (statement,), f"convert {text}")]
    if (job.after_s, job.schedule_s, job.scheduled) == (after_s, schedule_s, True):
        return []
    statement = alter_policy(catalog, job, schedule_s, {"compress_after": after_s})
    before = f" instead of {format_duration(job.after_s)}" if job.after_s and job.after_s != after_s else ""
    return [Step("columnstore", "samples", (statement,), f"convert {text}{before}")]


def _off(spec: SchemaSpec, catalog: Catalog) -> list[Step]:
    steps = []
    job = catalog.job("columnstore", "samples")
    if job is not None:
        sentence = "convert no more chunks of samples"
        steps.append(Step("columnstore", "samples", (remove_policy(catalog, job),), sentence))
    if catalog.columnstore is None:
        return steps
    disable = f"ALTER TABLE {_samples(spec)} SET (timescaledb.compress = false)"
    converted = [chunk for chunk in catalog.chunks_of("samples") if chunk.converted]
    sentence = "keep samples by rows alone"
    if not converted:
        return [*steps, Step("columnstore", "samples", (disable,), sentence)]
    back = [f"SELECT {functions_of(catalog)}.decompress_chunk({quote_literal(one.name)}, true)" for one in converted]
    held = Step(
        "columnstore",
        "samples",
        (*back, disable),
        sentence,
        safety="held",
        reason=f"writes {len(converted)} chunks with about {sum(one.rows for one in converted):,} rows anew, by rows,"
        " which takes several times their space",
        basis=tuple(one.name for one in converted),
        transactional=False,
    )
    return [*steps, held]


def _samples(spec: SchemaSpec) -> str:
    return f"{quote_identifier(spec.name)}.samples"
