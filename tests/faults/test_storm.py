"""A storm of faults loses and doubles nothing; with servers that break the contract it finds what they break."""

import os
from pathlib import Path

import pytest

from faults.storm.plan import SHORT_COUNTS, Kind, Plan, default_plan, short_plan
from faults.storm.report import Report
from faults.storm.schedule import fingerprint, make_schedule
from faults.storm.storm import run_storm
from ingestor.local import default_cache

SEED = 7
SABOTAGE_COUNTS = {Kind.BACKENDS: 2, Kind.BEFORE_COMMIT: 4, Kind.COMMIT_ANSWER: 2, Kind.SERVER_KILLED: 1}


async def _storm(plan: Plan, prepared_cluster: Path, sabotage: str = "") -> Report:
    return await run_storm(
        plan, default_cache(os.environ.get("XDG_CACHE_HOME")), print, prepared=prepared_cluster, sabotage=sabotage
    )


@pytest.mark.alone
@pytest.mark.slow
async def test_a_short_storm_loses_and_doubles_nothing(prepared_cluster: Path) -> None:
    report = await _storm(short_plan(SEED), prepared_cluster)
    assert report.passed, "\n".join(report.lines())
    assert report.verdict.acked >= 39_000
    assert report.findings.counts["OK replies thrown away"] > 0
    assert report.findings.counts["requests cut off before a reply"] > 0
    assert report.findings.counts["duplicates recognised"] > 0
    assert all(report.findings.struck[kind] >= count for kind, count in SHORT_COUNTS.items())


@pytest.mark.alone
@pytest.mark.slow
async def test_a_storm_finds_doubles_where_the_ledger_is_off(prepared_cluster: Path) -> None:
    report = await _storm(_sabotage_plan(), prepared_cluster, "ledger")
    assert report.verdict.doubled > 0
    assert not report.passed


@pytest.mark.alone
@pytest.mark.slow
async def test_a_storm_finds_losses_where_acks_come_before_commit(prepared_cluster: Path) -> None:
    report = await _storm(_sabotage_plan(), prepared_cluster, "ack")
    assert report.verdict.lost > 0
    assert not report.passed


def _sabotage_plan() -> Plan:
    return Plan(SEED, 15_000, SABOTAGE_COUNTS, servers=2, namespaces=False, disks=False, clocks=False)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    first, again, other = (make_schedule(default_plan(seed)) for seed in (7, 7, 8))
    assert first == again
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)


def test_the_default_storm_has_what_the_contract_is_to_survive() -> None:
    plan = default_plan(SEED)
    strikes = make_schedule(plan)
    terminated = sum(strike.amount for strike in strikes if strike.kind is Kind.BACKENDS)
    terminated += plan.counts[Kind.BEFORE_COMMIT] + plan.counts[Kind.DURING_COMMIT]
    assert plan.points >= 500_000
    assert (plan.servers, plan.clients, plan.lost_share) == (3, 8, 0.10)
    assert terminated >= 100
    assert plan.counts[Kind.SERVER_KILLED] >= 10
    assert plan.counts[Kind.DATABASE_KILLED] == 2
    assert plan.counts[Kind.DATABASE_STALLED] >= 2
    assert {strike.kind for strike in strikes} == set(Kind)
