"""What an apply does while somebody is in its way, and what it does to others meanwhile."""

import asyncio
import logging
from time import monotonic

import pytest

from ingestor.schema.apply import Limits, apply_schema, read_schema
from ingestor.schema.connect import Connection
from ingestor.schema.faults import DatabaseUnavailableError, LockBusyError
from ingestor.schema.plan_index import INDEXES
from ingestor.schema.spec import SchemaSpec
from support.eventually import HANG_S

from .conftest import Site

WAITS = "schema step waits for a lock"
PATIENT = Limits(attempts=1_000, pause_cap_s=0.1)


@pytest.fixture
def changed(site: Site) -> SchemaSpec:
    """Return a spec whose index change needs a lock that every writer is in the way of."""
    return site.spec.model_copy(update={"index": "TimeBrin"})


async def _until_it_waits(caplog: pytest.LogCaptureFixture, work: asyncio.Task[object]) -> None:
    deadline = monotonic() + HANG_S
    while WAITS not in caplog.messages:
        assert monotonic() < deadline
        assert not work.done(), work
        await asyncio.sleep(0.01)


async def test_a_step_is_repeated_until_the_long_transaction_ends(
    site: Site, changed: SchemaSpec, writer: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingestor.schema.apply")
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    work: asyncio.Task[object] = asyncio.create_task(apply_schema(site.owner_url, changed, limits=PATIENT))
    await _until_it_waits(caplog, work)
    await writer.execute("COMMIT")
    await asyncio.wait_for(work, HANG_S)
    assert (await read_schema(site.owner_url, changed)).indexes == (INDEXES["TimeBrin"],)


async def test_writers_go_on_while_a_step_waits(
    site: Site, changed: SchemaSpec, writer: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingestor.schema.apply")
    await writer.execute("INSERT INTO samples VALUES (now(), 1, 1)")
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    work: asyncio.Task[object] = asyncio.create_task(apply_schema(site.owner_url, changed, limits=PATIENT))
    await _until_it_waits(caplog, work)
    other = await site.connect(site.writer_url)
    for _ in range(50):  # without a lock_timeout of the step the first would wait for ever
        await other.execute(f"INSERT INTO {site.spec.name}.samples VALUES (now(), 2, 2)", timeout=HANG_S)
    assert not work.done()
    await writer.execute("ROLLBACK")
    await asyncio.wait_for(work, HANG_S)
    await other.close(timeout=5)


async def test_a_lock_that_stays_ends_the_apply_with_the_step_undone(
    site: Site, changed: SchemaSpec, writer: Connection
) -> None:
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    limits = Limits(lock_ms=20, attempts=3, pause_s=0.01)
    with pytest.raises(LockBusyError, match=r"samples_time_brin.*3 tries") as raised:
        await apply_schema(site.owner_url, changed, limits=limits)
    assert raised.value.reason == "lock_busy"
    assert (await read_schema(site.owner_url, changed)).indexes == (INDEXES["SeriesTime"],)


async def test_an_apply_beside_another_gives_up_at_its_deadline(
    site: Site, changed: SchemaSpec, writer: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingestor.schema.apply")
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    first: asyncio.Task[object] = asyncio.create_task(apply_schema(site.owner_url, changed, limits=PATIENT))
    await _until_it_waits(caplog, first)
    with pytest.raises(LockBusyError, match="somebody else"):
        await apply_schema(site.owner_url, changed, limits=Limits(mutex_s=0.2))
    await writer.execute("ROLLBACK")
    await asyncio.wait_for(first, HANG_S)


async def test_a_connection_killed_in_the_middle_is_transient_and_the_next_apply_goes_on(
    site: Site, changed: SchemaSpec, writer: Connection, admin: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingestor.schema.apply")
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    work: asyncio.Task[object] = asyncio.create_task(apply_schema(site.owner_url, changed, limits=PATIENT))
    await _until_it_waits(caplog, work)
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ingestor-schema'"
    )
    with pytest.raises(DatabaseUnavailableError):
        await asyncio.wait_for(work, HANG_S)
    await writer.execute("ROLLBACK")
    await apply_schema(site.owner_url, changed)
    assert (await read_schema(site.owner_url, changed)).indexes == (INDEXES["TimeBrin"],)


async def test_a_cancelled_apply_leaves_no_lock_behind(
    site: Site, changed: SchemaSpec, writer: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingestor.schema.apply")
    await writer.execute("BEGIN; INSERT INTO samples VALUES (now(), 1, 1)")
    work: asyncio.Task[object] = asyncio.create_task(apply_schema(site.owner_url, changed, limits=PATIENT))
    await _until_it_waits(caplog, work)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await writer.execute("ROLLBACK")
    assert len((await apply_schema(site.owner_url, changed)).steps) == 1
