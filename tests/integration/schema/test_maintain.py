"""The chores that pods call for: the next chunk ahead of time, and old rows out."""

import asyncio
from datetime import UTC, datetime

import pytest

from ingestor.schema.apply import apply_schema
from ingestor.schema.connect import Connection
from support.database import execute

from .conftest import Site

CHUNKS = "SELECT range_start, range_end FROM timescaledb_information.chunks ORDER BY range_start"


@pytest.fixture
async def hourly(site: Site) -> None:
    """Make chunks of one hour: the next one is always due."""
    await apply_schema(site.owner_url, site.spec.model_copy(update={"chunk_interval": "1h"}))


async def _maintain(connection: Connection) -> tuple[int, int, bool]:
    row = await connection.fetchrow("SELECT rejects_deleted, beats_deleted, chunk_made FROM maintain()")
    assert row
    return tuple(row)


@pytest.mark.usefixtures("hourly")
async def test_the_next_chunk_is_made_once_and_no_row_stays(writer: Connection, owner: Connection) -> None:
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 42)")
    assert await _maintain(writer) == (0, 0, True)
    assert await _maintain(writer) == (0, 0, False)
    current, following = await owner.fetch(CHUNKS)
    assert following["range_start"] == current["range_end"]
    assert [row["value"] for row in await owner.fetch("SELECT value FROM samples")] == [42]


@pytest.mark.usefixtures("hourly")
async def test_without_a_current_chunk_none_is_made(writer: Connection, owner: Connection) -> None:
    await writer.execute("INSERT INTO samples VALUES (now() - interval '30 days', 1, 1)")
    assert await _maintain(writer) == (0, 0, False)
    assert len(await owner.fetch(CHUNKS)) == 1


async def test_a_chunk_that_ends_far_from_now_is_not_followed_yet(
    site: Site, writer: Connection, owner: Connection
) -> None:
    today = datetime.now(UTC).timestamp() / 86_400
    days = next(days for days in range(100, 200) if 0.2 < today / days % 1 < 0.8)
    await apply_schema(site.owner_url, site.spec.model_copy(update={"chunk_interval": f"{days}d"}))
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 1)")
    assert await _maintain(writer) == (0, 0, False)
    assert len(await owner.fetch(CHUNKS)) == 1


async def test_a_chunk_in_its_last_tenth_is_followed(site: Site, writer: Connection, owner: Connection) -> None:
    today = datetime.now(UTC).timestamp() / 86_400
    days = next(days for days in range(100, 500) if 0.92 < today / days % 1 < 0.98)
    await apply_schema(site.owner_url, site.spec.model_copy(update={"chunk_interval": f"{days}d"}))
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 1)")
    assert await _maintain(writer) == (0, 0, True)
    assert len(await owner.fetch(CHUNKS)) == 2


@pytest.mark.usefixtures("hourly")
@pytest.mark.parametrize(
    "refusal",
    [
        "ALTER TABLE samples ADD CHECK (value > 0)",
        "ALTER TABLE samples ADD CHECK (time < now() + interval '1 second')",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';"
        "CREATE TRIGGER refuse BEFORE INSERT ON samples FOR EACH ROW WHEN (NEW.value = 0) EXECUTE FUNCTION refuse()",
    ],
)
async def test_a_table_that_refuses_the_probe_stays_as_it_is(
    writer: Connection, owner: Connection, refusal: str
) -> None:
    await owner.execute(refusal)
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 42)")
    await owner.execute("INSERT INTO rejects (at) VALUES (now() - interval '8 days')")
    assert await _maintain(writer) == (1, 0, False)
    assert await owner.fetchval("SELECT count(*) FROM samples") == 1
    assert await owner.fetchval("SELECT count(*) FROM rejects") == 0


@pytest.mark.usefixtures("hourly")
async def test_many_pods_at_once_make_one_chunk(site: Site, writer: Connection, owner: Connection) -> None:
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 1)")
    pods = [await site.connect(site.writer_url) for _ in range(6)]
    for pod in pods:
        await pod.execute(f"SET search_path = {site.spec.name}")
    results = await asyncio.gather(*(_maintain(pod) for pod in pods))
    for pod in pods:
        await pod.close(timeout=5)
    assert sorted(made for _, _, made in results) == [False] * 5 + [True]
    assert len(await owner.fetch(CHUNKS)) == 2


@pytest.mark.usefixtures("hourly")
async def test_a_caller_never_waits_for_another_one(site: Site, writer: Connection, owner: Connection) -> None:
    await owner.execute("INSERT INTO rejects (at) VALUES (now() - interval '8 days')")
    other = await site.connect(site.writer_url)
    await other.execute(f"SET search_path = {site.spec.name}; BEGIN; SELECT maintain()")
    assert await asyncio.wait_for(_maintain(writer), 5) == (0, 0, False)
    await other.close(timeout=5)


async def test_rejects_expire_after_seven_days_five_thousand_at_a_time(writer: Connection, owner: Connection) -> None:
    await owner.execute(
        "INSERT INTO rejects (at, reason) SELECT now() - interval '7 days 1 minute', 'old'"
        " FROM generate_series(1, 5001);"
        "INSERT INTO rejects (at, reason) VALUES (now() - interval '6 days 23 hours', 'young')"
    )
    assert [(await _maintain(writer))[0] for _ in range(3)] == [5000, 1, 0]
    assert [row["reason"] for row in await owner.fetch("SELECT reason FROM rejects")] == ["young"]


async def test_beats_expire_after_thirty_days(writer: Connection, owner: Connection) -> None:
    await owner.execute(
        "INSERT INTO ledger_beat VALUES (now() - interval '30 days 1 minute'), (now() - interval '29 days'), (now())"
    )
    assert await _maintain(writer) == (0, 1, False)
    assert await owner.fetchval("SELECT count(*) FROM ledger_beat") == 2


@pytest.mark.usefixtures("hourly")
async def test_a_publication_of_all_tables_keeps_old_rows_from_no_table(
    site: Site, writer: Connection, owner: Connection
) -> None:
    await execute(site.admin_url, "CREATE PUBLICATION everything FOR ALL TABLES")
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 42)")
    await owner.execute("INSERT INTO rejects (at) VALUES (now() - interval '8 days')")
    await writer.execute("INSERT INTO ledger_beat VALUES (now() - interval '31 days')")
    await writer.execute("INSERT INTO ledger VALUES (gen_random_uuid(), 1, 1, 0)")
    assert (await _maintain(writer))[:2] == (1, 1)
    assert await writer.execute("DELETE FROM ledger") == "DELETE 1"
    assert [row["value"] for row in await owner.fetch("SELECT value FROM samples")] == [42]
