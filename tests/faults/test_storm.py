"""A storm of faults loses and doubles nothing, and one that is made to do so is found out."""

import asyncio
import json
import sys
from typing import Any

import pytest

from faults.storm.plan import DEFAULT_COUNTS, Kind, make_schedule
from faults.storm.requests import StormData, make_request

POINTS = 60_000
TIMEOUT_S = 100.0


async def _storm(*options: str) -> tuple[int, dict[str, Any]]:
    """Run a short storm and return its exit code and result."""
    command = (sys.executable, "-m", "faults.storm", "--short", "--json", "--points", str(POINTS), *options)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="tests"
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert output, errors.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(output)[0]


@pytest.mark.alone
@pytest.mark.slow
async def test_a_storm_loses_and_doubles_nothing() -> None:
    code, result = await _storm("--seed", "11")
    assert code == 0, result["violations"]
    assert result["verdict"] == {
        "stored": POINTS,
        "lost": 0,
        "doubled": 0,
        "foreign": 0,
        "unacked": 0,
        "ledger_difference": 0,
    }
    struck = result["struck"]
    assert struck[Kind.BACKEND_TERMINATED] + struck[Kind.BACKEND_TERMINATED_IN_COMMIT] >= 8
    assert min(struck[kind] for kind in (Kind.SERVER_KILLED, Kind.DATABASE_KILLED, Kind.DATABASE_STALLED)) > 0
    assert result["told"]["replies thrown away after COMMIT"] > 0
    assert result["told"]["replies thrown away before COMMIT"] > 0


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("sabotage", "found"), [("ledger", "doubled"), ("ack", "lost")])
async def test_the_same_storm_finds_what_a_server_without_ledger_or_with_early_acks_does(
    sabotage: str, found: str
) -> None:
    code, result = await _storm("--seed", "11", "--sabotage", sabotage)
    assert code == 1
    assert result["verdict"][found] > 0


def test_a_seed_decides_strikes_and_requests() -> None:
    assert make_schedule(7, 1_000, 3, DEFAULT_COUNTS) == make_schedule(7, 1_000, 3, DEFAULT_COUNTS)
    assert make_schedule(7, 1_000, 3, DEFAULT_COUNTS) != make_schedule(8, 1_000, 3, DEFAULT_COUNTS)
    data = StormData("storm", 1)
    one, same, other = (make_request(data, seed, 5, 10**6) for seed in (7, 7, 8))
    assert (one.method, one.end, one.invalid, one.fate) == (same.method, same.end, same.invalid, same.fate)
    assert len(one.payload) == len(same.payload)
    assert [make_request(data, 7, first, 10**6).end for first in range(20)] != [
        make_request(data, 8, first, 10**6).end for first in range(20)
    ]
    assert other.first == 5


def test_every_kind_of_fault_is_in_the_schedule() -> None:
    assert {strike.kind for strike in make_schedule(1, 1_000, 3, DEFAULT_COUNTS)} == set(Kind)
