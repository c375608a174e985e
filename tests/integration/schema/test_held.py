"""Changes of a big table wait for a person; each test builds one just beyond the limit."""

import pytest

from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.connect import Connection
from ingestor.schema.plan_index import INDEXES, SMALL_SAMPLES_BYTES
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, StaleApprovalError

from .conftest import Site


@pytest.fixture
async def big(site: Site, owner: Connection) -> SchemaSpec:
    """Fill samples beyond the limit and return a spec that asks for the other index."""
    await owner.execute(
        "INSERT INTO samples SELECT '2024-01-01'::timestamptz + n * interval '0.2 s', n % 1000, n"
        " FROM generate_series(1, 800000) AS n"
    )
    hypertable = (await read_schema(site.owner_url, site.spec)).hypertable
    assert hypertable
    assert hypertable.size_bytes > SMALL_SAMPLES_BYTES
    return site.spec.model_copy(update={"index": "TimeBrin"})


async def test_an_index_change_of_a_big_table_waits_while_safe_steps_run(site: Site, big: SchemaSpec) -> None:
    wanted = big.model_copy(update={"chunk_interval": "6h"})
    with pytest.raises(HeldError, match=r"2 chunks with \d+ MiB") as raised:
        await apply_schema(site.owner_url, wanted)
    catalog = await read_schema(site.owner_url, wanted)
    assert catalog.hypertable
    assert catalog.hypertable.interval_us == 6 * 3600 * 1_000_000
    assert catalog.indexes == (INDEXES["SeriesTime"],)
    assert [step.kind for step in raised.value.plan.steps] == ["index"]
    assert raised.value.plan.hash == (await plan_schema(site.owner_url, wanted)).hash


async def test_the_approved_plan_runs_chunk_by_chunk_and_replaces_the_index(
    site: Site, owner: Connection, big: SchemaSpec
) -> None:
    plan = await plan_schema(site.owner_url, big)
    await apply_schema(site.owner_url, big, approved=plan.hash)
    catalog = await read_schema(site.owner_url, big)
    on_chunks = await owner.fetchval(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = '_timescaledb_internal' AND indexdef LIKE '%USING brin%'"
    )
    assert catalog.indexes == (INDEXES["TimeBrin"],)
    assert on_chunks == 2
    assert (await apply_schema(site.owner_url, big, approved=plan.hash)).empty


async def test_an_approval_given_for_fewer_chunks_no_longer_counts(
    site: Site, owner: Connection, big: SchemaSpec
) -> None:
    plan = await plan_schema(site.owner_url, big)
    await owner.execute("INSERT INTO samples VALUES ('2025-01-01', 1, 1)")
    with pytest.raises(StaleApprovalError):
        await apply_schema(site.owner_url, big, approved=plan.hash)
    assert (await read_schema(site.owner_url, big)).indexes == (INDEXES["SeriesTime"],)


async def test_an_index_that_was_left_half_built_is_built_anew(site: Site, owner: Connection, big: SchemaSpec) -> None:
    # The first chunk gets its index, the second is locked: what a crash in the middle leaves behind.
    chunk = await owner.fetchval("SELECT max(show_chunks::text) FROM show_chunks('samples')")
    blocker = await site.connect(site.owner_url)
    await blocker.execute(f"BEGIN; LOCK TABLE {chunk} IN ROW EXCLUSIVE MODE")
    await owner.execute("SET lock_timeout = 50")
    with pytest.raises(Exception, match="lock timeout"):
        await owner.execute(
            "CREATE INDEX samples_time_brin ON samples USING brin (time) WITH (timescaledb.transaction_per_chunk)"
        )
    await owner.execute("INSERT INTO owner (kind, name) VALUES ('index', 'samples_time_brin')")
    await blocker.close(timeout=5)
    broken = (await read_schema(site.owner_url, big)).indexes
    assert [index.valid for index in broken if index.name == "samples_time_brin"] == [False]
    plan = await plan_schema(site.owner_url, big)
    await apply_schema(site.owner_url, big, approved=plan.hash)
    assert (await read_schema(site.owner_url, big)).indexes == (INDEXES["TimeBrin"],)
