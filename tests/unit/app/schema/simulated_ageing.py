"""What the statements for ageing points do to a catalog: columnstore, policies, rollups, drops by age."""

import json
import re
from dataclasses import replace

from ingestor.schema.catalog import Aggregate, Catalog, ColumnstoreSettings, DatabaseObject, Job, JobKind
from ingestor.schema.roles import Roles

NOW_US = 1_790_000_000_000_000

_OWNER = Roles.for_schema("analytics").owner
_SETTINGS = re.compile(r"ALTER TABLE \S+ SET \(timescaledb.compress, \S+ = '([^']*)', \S+ = '([^']*)'\)")
_OFF = re.compile(r"ALTER TABLE \S+ SET \(timescaledb.compress = false\)")
_ROWS_FIRST = re.compile(r"ALTER TABLE \S+ SET \(timescaledb.direct_compress = false\)")
_BACK = re.compile(r"SELECT \S+\.decompress_chunk\('(\S+)', true\)")
_ADD = re.compile(r"""SELECT \S+\.add_(\w+)_policy\('"\w+"\."(\w+)"', (.*)\)""")
_ARGUMENT = re.compile(r"(\w+) => INTERVAL '(\d+) seconds'")
_ALTER = re.compile(r"SELECT \S+\.alter_job\(.*INTERVAL '(\d+) seconds', .* config - .* \|\| '(.*)'::jsonb\).* = (\d+)")
_DELETE = re.compile(r"SELECT \S+\.delete_job\((\d+)\)")
_CREATE = re.compile(r'CREATE MATERIALIZED VIEW "\w+"\."(\w+)" WITH .*')
_COMMENT = re.compile(r"""COMMENT ON VIEW "\w+"\."(\w+)" IS '(.*)'""")
_REAL_TIME = re.compile(r'ALTER MATERIALIZED VIEW "\w+"\."(\w+)" SET \(timescaledb.materialized_only = false\)')
_DROP_VIEW = re.compile(r'DROP MATERIALIZED VIEW "\w+"\."(\w+)"')
_KEEP = re.compile(r"INSERT INTO \S+\.retention \(relation, keep_s\) VALUES \('(\w+)', (\d+)\) .*")
_KEEP_ALL = re.compile(r"DELETE FROM \S+\.retention WHERE relation = '(\w+)'")
_DROP_CHUNKS = re.compile(r"""SELECT \S+\.drop_chunks\('"\w+"\."(\w+)"', older_than => INTERVAL '(\d+) seconds'\)""")
_KINDS: dict[str, JobKind] = {"compression": "columnstore", "retention": "retention", "continuous_aggregate": "refresh"}


def age(catalog: Catalog, statement: str) -> Catalog:
    """Return the catalog after a statement; any that is not known changes nothing."""
    for change in (_columnstore, _jobs, _rollups, _drops):
        changed = change(catalog, statement)
        if changed is not None:
            return changed
    return catalog


def _columnstore(catalog: Catalog, statement: str) -> Catalog | None:
    if found := _SETTINGS.fullmatch(statement):
        segment_by, order_by = (tuple(filter(None, columns.split(", "))) for columns in found.groups())
        return replace(catalog, columnstore=ColumnstoreSettings(segment_by, order_by))
    if _OFF.fullmatch(statement):
        assert not any(chunk.converted for chunk in catalog.chunks), "the database refuses this with converted chunks"
        hypertable = catalog.hypertable and replace(catalog.hypertable, direct=False)
        return replace(catalog, columnstore=None, hypertable=hypertable)
    if _ROWS_FIRST.fullmatch(statement):
        assert catalog.hypertable
        ended = ("policy_compression", "policy_compaction")
        jobs = tuple(job for job in catalog.jobs if job.relation != "samples" or job.procedure not in ended)
        return replace(catalog, hypertable=replace(catalog.hypertable, direct=False), jobs=jobs)
    if found := _BACK.fullmatch(statement):
        chunks = [replace(one, converted=one.converted and one.name != found[1]) for one in catalog.chunks]
        return replace(catalog, chunks=tuple(chunks))
    return None


def _jobs(catalog: Catalog, statement: str) -> Catalog | None:
    if found := _ADD.fullmatch(statement):
        kind, relation = _KINDS[found[1]], found[2]
        assert catalog.job(kind, relation) is None, "the database refuses a second policy"
        assert kind != "columnstore" or catalog.columnstore, "the database refuses a policy without a columnstore"
        return replace(catalog, jobs=(*catalog.jobs, _new_job(catalog, kind, relation, found[3])))
    if found := _ALTER.fullmatch(statement):
        config = {name: int(text.removesuffix(" seconds")) for name, text in json.loads(found[2]).items()}
        jobs = [_altered(job, int(found[1]), config) if job.id == int(found[3]) else job for job in catalog.jobs]
        return replace(catalog, jobs=tuple(jobs))
    if found := _DELETE.fullmatch(statement):
        return replace(catalog, jobs=tuple(job for job in catalog.jobs if job.id != int(found[1])))
    return None


def _new_job(catalog: Catalog, kind: JobKind, relation: str, arguments: str) -> Job:
    values = {name: int(seconds) for name, seconds in _ARGUMENT.findall(arguments)}
    number = max((job.id for job in catalog.jobs), default=999) + 1
    procedure = (
        f"policy_{'refresh_' * (kind == 'refresh')}{next(name for name, made in _KINDS.items() if made == kind)}"
    )
    job = Job(number, kind, relation, values.pop("schedule_interval"), procedure=procedure)
    return _altered(job, job.schedule_s, values)


def _altered(job: Job, schedule_s: int, config: dict[str, int]) -> Job:
    fields = {"compress_after": "after_s", "drop_after": "after_s", "start_offset": "start_s", "end_offset": "end_s"}
    changes = {fields[name]: seconds for name, seconds in config.items()}
    return replace(job, schedule_s=schedule_s, scheduled=True, **changes)  # type: ignore[arg-type]


def _rollups(catalog: Catalog, statement: str) -> Catalog | None:
    if found := _CREATE.fullmatch(statement):
        assert found[1] not in {item.name for item in catalog.objects}, "an object of this name is there already"
        view = DatabaseObject("rollup", found[1], _OWNER)
        return replace(catalog, objects=(*catalog.objects, view), aggregates=(*catalog.aggregates, Aggregate(found[1])))
    if found := _COMMENT.fullmatch(statement):
        return _change(catalog, found[1], comment=found[2])
    if found := _REAL_TIME.fullmatch(statement):
        return _change(catalog, found[1], materialized_only=False)
    if found := _DROP_VIEW.fullmatch(statement):
        name = found[1]
        return replace(
            catalog,
            objects=tuple(item for item in catalog.objects if item.key != ("rollup", name)),
            aggregates=tuple(one for one in catalog.aggregates if one.name != name),
            jobs=tuple(job for job in catalog.jobs if job.relation != name),
            chunks=tuple(chunk for chunk in catalog.chunks if chunk.relation != name),
            grants=frozenset(grant for grant in catalog.grants if (grant.kind, grant.name) != ("rollup", name)),
        )
    return None


def _change(catalog: Catalog, name: str, **changes: object) -> Catalog:
    changed = [replace(one, **changes) if one.name == name else one for one in catalog.aggregates]  # type: ignore[arg-type]
    return replace(catalog, aggregates=tuple(changed))


def _drops(catalog: Catalog, statement: str) -> Catalog | None:
    if found := _KEEP.fullmatch(statement):
        return replace(catalog, kept_s=tuple(sorted((dict(catalog.kept_s) | {found[1]: int(found[2])}).items())))
    if found := _KEEP_ALL.fullmatch(statement):
        return replace(catalog, kept_s=tuple(kept for kept in catalog.kept_s if kept[0] != found[1]))
    if found := _DROP_CHUNKS.fullmatch(statement):
        border_us = catalog.server.now_us - int(found[2]) * 1_000_000
        stay = [chunk for chunk in catalog.chunks if chunk.relation != found[1] or chunk.end_us > border_us]
        return replace(catalog, chunks=tuple(stay))
    return None
