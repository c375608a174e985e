"""What keeps a server from working is a problem of the check: each one has a line, and all are listed."""

import re

import asyncpg
import pytest

from ingestor.schema.preflight import Finding
from ingestor.storage.rehearsal import rehearse
from support.database import SCHEMA, Database, execute, fetch
from support.pgbouncer import CURRENT, find_pgbouncer, pgbouncer
from support.points import count_samples

FUNCTION = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '{}'; END$$
"""
AT_ONCE = "CREATE TRIGGER refuse BEFORE INSERT ON analytics.{} FOR EACH ROW EXECUTE FUNCTION public.refuse()"
AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON analytics.{} DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
)
WRITES = {
    "series": "a series of service ingestor-check",
    "samples": "points of value 1",
    "ledger": "an idempotency key",
    "ledger_beat": "the minute's beat",
    "rejects": "a rejected point",
}


def _problems(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "problem"]


@pytest.mark.parametrize("table", WRITES)
@pytest.mark.parametrize(
    ("state", "advice"), [("P0001", "undo it"), ("53100", "make room"), ("53200", "max_locks_per_transaction")]
)
async def test_whatever_refuses_a_write_is_named_with_what_to_do(
    database: Database, table: str, state: str, advice: str
) -> None:
    await execute(database.admin_url, FUNCTION.format(state), AT_ONCE.format(table))
    (problem,) = _problems(await rehearse(database.writer_url, SCHEMA))
    assert problem.sentence.startswith(f"{WRITES[table]}: refused with {state}: not here; ")
    assert advice in problem.sentence


async def test_what_would_be_refused_at_commit_is_named(database: Database) -> None:
    await execute(database.admin_url, FUNCTION.format("P0001"), AT_COMMIT.format("ledger"))
    (problem,) = _problems(await rehearse(database.writer_url, SCHEMA))
    assert problem.sentence.startswith(f"{WRITES['ledger']}: refused with P0001: not here; ")


async def test_all_that_is_wrong_is_listed_and_nothing_is_left_behind(database: Database) -> None:
    await execute(
        database.owner_url,
        "ALTER TABLE analytics.series ADD CHECK (service_name <> 'ingestor-check')",
        "ALTER TABLE analytics.rejects ADD CHECK (false)",
        "REVOKE DELETE ON analytics.ledger FROM analytics_writer",
    )
    problems = _problems(await rehearse(database.writer_url, SCHEMA))
    assert [problem.topic for problem in problems] == ["rights", "writes", "writes"]
    assert await count_samples(database.admin_url) == 0
    assert not await fetch(database.admin_url, "SELECT FROM analytics.series, analytics.ledger, analytics.ledger_beat")


@pytest.mark.parametrize(
    ("statement", "topic", "text"),
    [
        ("SET default_transaction_read_only = on", "server", "transactions are read-only .*; turn it off"),
        ("CONNECTION LIMIT 1", "connection", "connection 2 of a pod: .* has no connection free: .*; raise"),
    ],
)
async def test_what_a_pods_own_connections_meet_is_a_problem(
    database: Database, statement: str, topic: str, text: str
) -> None:
    await execute(database.admin_url, f'ALTER DATABASE "{database.name}" {statement}')
    findings = _problems(await rehearse(database.writer_url, SCHEMA, connections=2))
    assert findings[0].topic == topic
    assert re.search(text, findings[0].sentence), findings


async def test_a_lock_that_is_held_is_named(database: Database) -> None:
    holder = await asyncpg.connect(database.admin_url)
    try:
        await holder.execute("BEGIN; LOCK TABLE analytics.rejects")
        problems = _problems(await rehearse(database.writer_url, SCHEMA))
    finally:
        await holder.close()
    assert problems
    assert all("look at pg_locks" in problem.sentence for problem in problems)


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_the_check_works_through_a_pooler_and_says_so(database: Database, mode: str) -> None:
    async with pgbouncer(await find_pgbouncer(CURRENT), database, pool_mode=mode) as through:
        findings = await rehearse(through.writer_url, SCHEMA, connections=2)
    assert not _problems(findings)
    (pooler,) = [finding for finding in findings if finding.topic == "pooler"]
    assert ("max_prepared_statements" in pooler.sentence) is (mode == "session")


async def test_parameters_of_libpq_are_no_settings_of_the_server(database: Database) -> None:
    url = f"{database.writer_url}?connect_timeout=10&keepalives=1&gssencmode=prefer"
    assert _problems(await rehearse(url, SCHEMA)) == []
    (problem,) = _problems(await rehearse(f"{url}&channel_binding=require", SCHEMA))
    assert "channel_binding in the database URL is more than this client can do" in problem.sentence
