"""What the community build of TimescaleDB 2.29.2 wrote into its own tables is read, and planned for.

Debian's builds have those tables, in the form of their version, but write none of these rows, so they are recorded.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from ingestor.schema.apply import read_schema
from ingestor.schema.catalog import ColumnstoreSettings
from ingestor.schema.connect import Connection
from ingestor.schema.faults import ExtensionUnknownError
from ingestor.schema.plan import make_plan
from ingestor.schema.spec import SchemaSpec

from .conftest import Site

SETTINGS: dict[str, Any] = {
    "index": [{"type": "minmax", "column": "time", "source": "orderby"}],
    "orderby": ["time"],
    "segmentby": ["series_id"],
    "orderby_desc": [True],
    "orderby_nullsfirst": [True],
}
SIZE: dict[str, Any] = {
    "compressed_heap_size": 16384,
    "compressed_index_size": 16384,
    "compressed_toast_size": 8192,
    "uncompressed_heap_size": 8192,
    "numrows_pre_compression": 24,
    "uncompressed_index_size": 16384,
    "uncompressed_toast_size": 0,
    "numrows_post_compression": 5,
    "numrows_frozen_immediately": 5,
}
# Paused, for else this build's scheduler would try to run them.
JOB: dict[str, Any] = {
    "scheduled": False,
    "max_retries": -1,
    "max_runtime": "00:00:00",
    "proc_schema": "_timescaledb_functions",
    "retry_period": "01:00:00",
    "fixed_schedule": False,
    "schedule_interval": "00:01:00",
}
JOBS: list[tuple[int, str, dict[str, Any]]] = [
    (1002, "policy_retention", {"drop_after": "2160:00:00", "hypertable_id": 1}),
    (1004, "policy_compression", {"hypertable_id": 1, "compress_after": "1 day", "recompress_unordered": False}),
    (1008, "policy_compaction", {"hypertable_id": 1}),
]
DIRECT = 12
"""A hypertable with a columnstore (4) that new points go to at once (8)."""


async def _insert(admin: Connection, table: str, row: dict[str, Any]) -> None:
    statement = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, $1::jsonb)"
    await admin.execute(statement, json.dumps(row))


async def _record(admin: Connection, site: Site) -> None:
    """Write what is there when two of three chunks are converted, one by settings that have changed since."""
    samples = f"{site.spec.name}.samples"
    for days in (20, 12, 1):
        await admin.execute(f"INSERT INTO {samples} VALUES (now() - $1 * interval '1 day', 1, 1)", days)
    number = await admin.fetchval(
        "UPDATE _timescaledb_catalog.hypertable SET status = $2 WHERE schema_name = $1 RETURNING id",
        site.spec.name,
        DIRECT,
    )
    await _insert(admin, "_timescaledb_catalog.compression_settings", SETTINGS | {"relid": samples})
    chunks = await admin.fetch("SELECT id FROM _timescaledb_catalog.chunk WHERE hypertable_id = $1 ORDER BY id", number)
    names = await admin.fetch("SELECT show_chunks($1::regclass)::text ORDER BY 1", samples)
    for (chunk,), (name,), segments in zip(chunks[:2], names[:2], (["series_id"], None), strict=True):
        await admin.execute("UPDATE _timescaledb_catalog.chunk SET status = 1 WHERE id = $1", chunk)
        settings = SETTINGS | {"relid": name, "segmentby": segments}
        await _insert(admin, "_timescaledb_catalog.compression_settings", settings)
        size = SIZE | {"chunk_id": chunk, "compressed_chunk_id": chunk}
        await _insert(admin, "_timescaledb_catalog.compression_chunk_size", size)
    moved = await admin.fetchval("SELECT to_regclass('_timescaledb_catalog.bgw_job') IS NOT NULL")
    for job, procedure, config in JOBS:
        row = JOB | {"id": job, "proc_name": procedure, "config": config, "owner": site.roles.owner}
        row |= {"hypertable_id": number, "application_name": f"{procedure} [{job}]"}
        await _insert(admin, f"_timescaledb_{'catalog' if moved else 'config'}.bgw_job", row)


async def test_what_is_recorded_is_read(site: Site, admin: Connection) -> None:
    await _record(admin, site)
    catalog = await read_schema(site.owner_url, site.spec)
    assert catalog.columnstore == ColumnstoreSettings(("series_id",), ("time DESC",))
    chunks = [(chunk.rows, chunk.converted, chunk.earlier) for chunk in catalog.chunks_of("samples")]
    assert chunks[:2] == [(24, True, False), (24, True, True)]
    assert chunks[2][1:] == (False, False)
    assert [(job.id, job.kind, job.after_s, job.has_run) for job in catalog.jobs] == [
        (1002, "retention", 90 * 86_400, False),
        (1004, "columnstore", 86_400, False),
        (1008, "other", None, False),
    ]
    assert catalog.hypertable is not None
    assert catalog.hypertable.direct


async def test_what_others_had_done_is_ended_by_the_plan(site: Site, admin: Connection) -> None:
    await _record(admin, site)
    catalog = await read_schema(site.owner_url, site.spec)
    community = replace(catalog, extension=replace(catalog.extension, community=True))
    spec = SchemaSpec.model_validate({"name": site.spec.name, "columnstore": {}, "retention": {"dropAfter": "90d"}})
    sentences = [step.sentence for step in make_plan(spec, community, site.roles).steps]
    assert sentences == [
        "store new points of samples by rows first",
        "convert chunks of samples from an age of 7d on, every 12h",
        "drop chunks of samples from an age of 90d on",
    ]
    assert community.hypertable
    plain = replace(community, hypertable=replace(community.hypertable, direct=False))
    (ended, *_) = make_plan(spec, plain, site.roles).steps
    assert ended.sentence == "end the policy_compaction of samples (job 1008)"
    assert ended.statements == ('SELECT "public".delete_job(1008)',)


async def test_columns_that_an_estimate_rests_on_may_be_gone(site: Site, admin: Connection) -> None:
    await _record(admin, site)
    size = "_timescaledb_catalog.compression_chunk_size"
    await admin.execute(f"ALTER TABLE {size} RENAME COLUMN numrows_pre_compression TO other")
    await admin.execute(f"ALTER TABLE {size} RENAME COLUMN chunk_id TO another")
    assert [chunk.converted for chunk in (await read_schema(site.owner_url, site.spec)).chunks] == [True, True, False]


async def test_tables_of_another_form_are_told_with_the_versions_that_work(site: Site, admin: Connection) -> None:
    await admin.execute("ALTER TABLE _timescaledb_catalog.compression_settings RENAME COLUMN segmentby TO other")
    with pytest.raises(ExtensionUnknownError, match=r"segmentby.*2\.19 to 2\.31 are tested: use one of those"):
        await read_schema(site.owner_url, site.spec)
