"""Plan the one index of samples. Building it reads every chunk, so on a big table it waits for approval. Pure."""

from ingestor.schema.catalog import Catalog, Index
from ingestor.schema.identifiers import quote_identifier, quote_relation
from ingestor.schema.ownership import forget_made, record_made
from ingestor.schema.spec import IndexName, SchemaSpec
from ingestor.schema.steps import Step

SMALL_SAMPLES_BYTES = 64 * 1024 * 1024
"""Up to here the index is built unasked: it stalls COPY for a second at most."""

INDEXES: dict[IndexName, Index] = {
    "SeriesTime": Index("samples_series_time", "btree", ("series_id", "time DESC")),
    "TimeBrin": Index("samples_time_brin", "brin", ("time",)),
}


def index_steps(spec: SchemaSpec, catalog: Catalog) -> list[Step]:
    """Return the step to the index of the spec; indexes that others made on samples stay."""
    wanted = INDEXES[spec.index]
    ours = {index.name for index in INDEXES.values()} & {name for kind, name in catalog.made if kind == "index"}
    present = [index for index in catalog.indexes if index.name in ours]
    superfluous = [index for index in present if index != wanted]
    if wanted not in present:
        return [_build(spec, catalog, wanted, superfluous)]
    if superfluous:
        names = ", ".join(index.name for index in superfluous)
        drops = tuple(statement for index in superfluous for statement in _drop(spec.name, index))
        return [Step("index", wanted.name, drops, f"drop index {names}, which {wanted.name} replaces")]
    return []


def _build(spec: SchemaSpec, catalog: Catalog, wanted: Index, superfluous: list[Index]) -> Step:
    big = catalog.hypertable is not None and catalog.hypertable.size_bytes > SMALL_SAMPLES_BYTES
    # Chunk by chunk, a broken attempt leaves an invalid index behind, which the next one must clear away.
    clear = big or any(index.name == wanted.name for index in superfluous)
    replaced = [index for index in superfluous if index.name != wanted.name]
    sentence = f"build index {wanted.name} on samples ({wanted.method}: {', '.join(wanted.columns)})"
    if replaced:
        sentence += f" in place of {', '.join(index.name for index in replaced)}"
    statements = (
        record_made(spec.name, (("index", wanted.name),)),
        *((_drop(spec.name, wanted)[0],) if clear else ()),
        _create(spec.name, wanted, online=big),
        *(statement for index in replaced for statement in _drop(spec.name, index)),
    )
    if not big or catalog.hypertable is None:
        return Step("index", wanted.name, statements, sentence)
    chunks, size_mib = catalog.hypertable.chunks, catalog.hypertable.size_bytes // 2**20
    return Step(
        "index",
        wanted.name,
        statements,
        sentence,
        safety="held",
        reason=f"reads {chunks} chunks with {size_mib} MiB and stops writing to each chunk while it is read",
        basis=(f"chunks={chunks}", *sorted(f"index={index.name}" for index in catalog.indexes)),
        transactional=False,
    )


def _create(schema: str, index: Index, *, online: bool) -> str:
    columns = ", ".join(index.columns)
    # One transaction per chunk, so that writers wait for one chunk at a time and not for the whole table.
    options = " WITH (timescaledb.transaction_per_chunk)" if online else ""
    name, table = quote_identifier(index.name), f"{quote_identifier(schema)}.samples"
    return f"CREATE INDEX {name} ON {table} USING {index.method} ({columns}){options}"


def _drop(schema: str, index: Index) -> tuple[str, str]:
    drop = f"DROP INDEX IF EXISTS {quote_relation(schema, index.name)}"
    return drop, forget_made(schema, ("index", index.name))
