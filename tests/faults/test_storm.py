"""A storm of faults loses and doubles nothing; with servers that break the contract it finds what they break."""

import asyncio
import os
import time
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

import asyncpg
import pytest

from analytics.v1 import ingestor_pb2 as pb
from faults.storm.findings import Findings
from faults.storm.hostile import HostileMaker
from faults.storm.judge import Verdict, judge
from faults.storm.marks import Fate, Mark
from faults.storm.plan import SHORT_COUNTS, Kind, Plan, default_plan, short_plan
from faults.storm.points import Form, Request, RequestMaker
from faults.storm.report import Report
from faults.storm.rules import SETUP, Rules
from faults.storm.schedule import fingerprint, make_schedule
from faults.storm.storm import run_storm
from ingestor.keys import mint_key
from ingestor.local import default_cache
from support.database import Database, execute
from support.service import running_service

SEED = 7
SABOTAGE_COUNTS = {Kind.BACKENDS: 2, Kind.BEFORE_COMMIT: 4, Kind.COMMIT_ANSWER: 2, Kind.SERVER_KILLED: 1}


async def _storm(plan: Plan, prepared_cluster: Path, logs: Path, sabotage: str = "") -> Report:
    cache = default_cache(os.environ.get("XDG_CACHE_HOME"))
    return await run_storm(plan, cache, logs, print, prepared=prepared_cluster, sabotage=sabotage)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_short_storm_loses_and_doubles_nothing(prepared_cluster: Path, tmp_path: Path) -> None:
    report = await _storm(short_plan(SEED), prepared_cluster, tmp_path)
    assert report.passed, "\n".join(report.lines())
    assert report.verdict.acked >= 39_000
    assert report.findings.counts["OK replies thrown away"] > 0
    assert report.findings.counts["requests cut off before a reply"] > 0
    assert report.findings.counts["duplicates recognised"] > 0
    assert report.findings.counts["requests refused by the database"] > 0
    assert report.verdict.refused > 0
    assert report.latencies.ratio > 0
    assert all(report.findings.struck[kind] >= count for kind, count in SHORT_COUNTS.items())


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_storm_finds_doubles_where_the_ledger_is_off(prepared_cluster: Path, tmp_path: Path) -> None:
    report = await _storm(_sabotage_plan(), prepared_cluster, tmp_path, "ledger")
    assert report.verdict.doubled > 0
    assert not report.passed


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_storm_finds_losses_where_acks_come_before_commit(prepared_cluster: Path, tmp_path: Path) -> None:
    report = await _storm(_sabotage_plan(), prepared_cluster, tmp_path, "ack")
    assert report.verdict.lost > 0
    assert not report.passed


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_storm_finds_refused_points_that_nobody_hears_of(prepared_cluster: Path, tmp_path: Path) -> None:
    plan = replace(_sabotage_plan(), counts={Kind.SAMPLES_CHECK: 3, Kind.SAMPLES_TRIGGER: 3}, hostile_clients=3)
    report = await _storm(plan, prepared_cluster, tmp_path, "silence")
    assert report.findings.violations["callers are told what became of each point"] > 0
    assert report.findings.violations["a refused point is told or kept"] > 0


async def test_the_judge_finds_each_kind_of_wrong_row(database: Database) -> None:
    requests = await _stored_requests(database)
    points = sum(request.accepted for request in requests)
    assert await _judge(database, requests) == Verdict(acked=points, stored=points)
    for change in (
        "DELETE FROM analytics.samples WHERE value = (SELECT min(value) FROM analytics.samples)",
        "INSERT INTO analytics.samples SELECT * FROM analytics.samples ORDER BY value LIMIT 2",
        "INSERT INTO analytics.samples SELECT time, series_id, 0.5 FROM analytics.samples LIMIT 1",
        "UPDATE analytics.samples SET time = time + interval '1 microsecond'"
        " WHERE value = (SELECT max(value) FROM analytics.samples)",
    ):
        await execute(database.admin_url, change)
    verdict = await _judge(database, requests)
    torn = requests[0].accepted - 1 + requests[-1].accepted - 1
    assert verdict == Verdict(acked=points, stored=points + 2, lost=2, doubled=2, foreign=2, torn=torn)


async def test_the_judge_finds_refused_points_that_are_kept_wrong_or_told_wrong(database: Database) -> None:
    rules = _rules(database)
    await execute(database.admin_url, SETUP)
    await rules.add(Mark.CHECKED, 0)
    requests = await _refused_requests(database)
    await rules.remove(Mark.CHECKED)
    assert not await _violations(database, requests, rules)
    buffered = next(request for request in requests if request.buffered)
    value = buffered.values()[next(iter(buffered.marks))]
    where = f"analytics.rejects WHERE point->>'value' = '{value}'"
    await execute(database.admin_url, "CREATE TABLE kept AS TABLE analytics.rejects")
    for change, law in (
        (f"INSERT INTO analytics.rejects SELECT * FROM {where}", "a reject is kept once, and not stored"),
        (f"DELETE FROM {where}", "a refused point is told or kept"),
        (
            'UPDATE analytics.rejects SET point = point || \'{"metric_name": "other"}\'',
            "a reject is kept as it was sent",
        ),
    ):
        restore = "TRUNCATE analytics.rejects; INSERT INTO analytics.rejects TABLE kept"
        await execute(database.admin_url, restore, change)
        assert law in await _violations(database, requests, rules)
    await execute(database.admin_url, restore)
    told = next(request for request in requests if request.told)
    told.told = (told.size, 0)
    assert await _violations(database, requests, rules) == ["callers are told what became of each point"]


async def test_a_point_is_free_where_its_rule_comes_or_goes_and_bound_where_it_stands(database: Database) -> None:
    rules = _rules(database)
    clock = asyncio.get_running_loop().time
    before_s = clock()
    await execute(database.admin_url, SETUP)
    await rules.add(Mark.CHECKED, 0)
    stands_s = clock()
    await rules.remove(Mark.CHECKED)
    after_s = clock()
    assert rules.fate(Mark.CHECKED, before_s, before_s) is Fate.STORED
    assert rules.fate(Mark.CHECKED, before_s, stands_s) is Fate.EITHER
    assert rules.fate(Mark.CHECKED, stands_s, stands_s) is Fate.REFUSED
    assert rules.fate(Mark.CHECKED, stands_s, inf) is Fate.EITHER
    assert rules.fate(Mark.CHECKED, after_s, inf) is Fate.STORED
    assert rules.fate(Mark.RAISED, before_s, inf) is Fate.STORED
    assert rules.fate(Mark.UNKEPT, before_s, after_s) is Fate.REFUSED


async def _refused_requests(database: Database) -> list[Request]:
    """Store requests with a point each that a CHECK refuses, some of them buffered, and return them."""
    maker = HostileMaker(SEED, 0, time.time_ns() // 1000)
    made = [request for request in (maker.make(hostile=False) for _ in range(30)) if request.form is Form.ROWS]
    async with running_service(database.writer_url) as service:
        for request in made:
            request.marks = {0: Mark.CHECKED}
            request.key = mint_key()
            message = request.message()
            assert isinstance(message, pb.WriteRequest)
            message.idempotency_key = request.key.bytes
            message.ack = pb.ACK_BUFFERED if request.buffered else pb.ACK_COMMITTED
            request.sent_s = asyncio.get_running_loop().time()
            reply = await service.client.write(message)
            request.settled_s = asyncio.get_running_loop().time()
            request.told = None if request.buffered else (reply.accepted_points, reply.rejected_points)
            request.acked = True
    return made


async def _stored_requests(database: Database) -> list[Request]:
    """Store a few requests of which every point is valid, and return them."""
    maker = RequestMaker(SEED, 0, time.time_ns() // 1000)
    made = [request for request in (maker.make() for _ in range(40)) if not request.rejected and request.size > 3]
    async with running_service(database.writer_url) as service:
        for request in made:
            message = request.message()
            assert isinstance(message, pb.WriteRequest)
            request.key = mint_key()
            message.idempotency_key = request.key.bytes
            await service.client.write(message)
            request.acked = True
    return made


async def _judge(database: Database, requests: list[Request]) -> Verdict:
    connection = await asyncpg.connect(database.admin_url)
    try:
        return await judge(connection, requests, _rules(database), Findings())
    finally:
        await connection.close()


async def _violations(database: Database, requests: list[Request], rules: Rules) -> list[str]:
    connection, findings = await asyncpg.connect(database.admin_url), Findings()
    try:
        await judge(connection, requests, rules, findings)
    finally:
        await connection.close()
    return list(findings.violations)


def _rules(database: Database) -> Rules:
    return Rules(partial(asyncpg.connect, database.admin_url))


def _sabotage_plan() -> Plan:
    return Plan(
        SEED,
        15_000,
        SABOTAGE_COUNTS,
        servers=2,
        hostile_clients=0,
        slices=0,
        pooled=0,
        namespaces=False,
        disks=False,
        clocks=False,
        latin=False,
    )


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    first, again, other = (make_schedule(default_plan(seed)) for seed in (7, 7, 8))
    assert first == again
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)


def test_a_long_storm_spares_one_server_so_that_growing_memory_shows() -> None:
    strikes = make_schedule(default_plan(SEED, minutes=60))
    ended = {strike.target for strike in strikes if strike.kind in (Kind.SERVER_KILLED, Kind.SERVER_TERMINATED)}
    assert ended == {0, 1}
    assert 59 * 60 < strikes[-1].at_s <= 60 * 60


def test_the_default_storm_has_what_the_contract_is_to_survive() -> None:
    plan = default_plan(SEED)
    strikes = make_schedule(plan)
    terminated = sum(strike.amount for strike in strikes if strike.kind is Kind.BACKENDS)
    terminated += plan.counts[Kind.BEFORE_COMMIT] + plan.counts[Kind.DURING_COMMIT]
    assert plan.points >= 500_000
    assert (plan.servers, plan.clients, plan.lost_share) == (3, 8, 0.12)
    assert terminated >= 100
    assert plan.counts[Kind.SERVER_KILLED] >= 10
    assert plan.counts[Kind.DATABASE_KILLED] == 2
    assert plan.counts[Kind.DATABASE_STALLED] >= 2
    assert {strike.kind for strike in strikes} == set(Kind)
