"""Judge what a server says about itself: version, licence, durability, clock and room for connections. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ingestor.schema.catalog import Job
from ingestor.schema.tested import (
    is_tested_postgresql,
    is_tested_timescaledb,
    tested_postgresql,
    tested_timescaledb,
)

Level = Literal["ok", "warning", "problem"]

MIN_SERVER_VERSION = 140_000
CLOCK_WARNING_S = 1.0
CLOCK_PROBLEM_S = 300.0
"""Source: idempotency keys more than 5 minutes ahead of a pod's clock are refused."""
FEW_CONNECTIONS = 10
"""A rollout of a few pods with two connections each needs about this many at once."""
_WORKERS = "look at the server's log, at timescaledb.max_background_workers and at max_worker_processes"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; the sentence says what to do where the level is not ok."""

    level: Level
    topic: str
    sentence: str


def judge_server(row: Mapping[str, Any], skew_s: float) -> Iterator[Finding]:
    """Return a finding for each thing; ``row`` is that of ``preflight/server.sql``.

    ``skew_s`` is the database's clock minus ours, in seconds.
    """
    yield _version(row)
    yield from _timescaledb(row)
    if row["superuser"]:
        text = f"{row['role']} is a superuser; give pods the writer role, which can do no harm"
        yield Finding("warning", "rights", text)
    if row["standby"]:
        yield Finding("problem", "server", "this is a standby and takes no writes; connect to the primary")
    yield from judge_durability(row)
    yield _clock(skew_s)
    yield _connections(row)


def _version(row: Mapping[str, Any]) -> Finding:
    text, number = f"PostgreSQL {row['version']}", row["version_number"]
    if number < MIN_SERVER_VERSION:
        return Finding("problem", "server", f"{text} is too old; 14 or newer is needed")
    if not is_tested_postgresql(number):
        return Finding("warning", "server", f"{text} is not tested; {tested_postgresql()} are")
    return Finding("ok", "server", f"{text} (tested: {tested_postgresql()})")


def _timescaledb(row: Mapping[str, Any]) -> Iterator[Finding]:
    version, licence = row["timescaledb"], row["licence"]
    if version is None:
        text = "TimescaleDB is not installed in this database; run `ingestor schema bootstrap`"
        yield Finding("problem", "timescaledb", text)
        return
    if not is_tested_timescaledb(version):
        yield Finding("warning", "timescaledb", f"TimescaleDB {version} is not tested; {tested_timescaledb()} are")
    text = f"TimescaleDB {version} (tested: {tested_timescaledb()})"
    if licence == "apache":
        text += ", Apache licence: no columnstore, retention policies or continuous aggregates"
    elif licence == "timescale":
        text += ", Timescale licence: has columnstore, policies and continuous aggregates"
    else:
        yield Finding("warning", "timescaledb", f"{text}; its licence ({licence}) is unknown to us")
        return
    yield Finding("ok", "timescaledb", text)


def judge_policies(jobs: Sequence[Job]) -> Iterator[Finding]:
    """Return what became of the policies when they ran last, and whether they run at all."""
    bad = [f"the {job.title} of {job.relation} (job {job.id}) failed: {job.failure}" for job in jobs if job.failure]
    late = [job for job in jobs if job.overdue]
    bad += [f"the {job.title} of {job.relation} (job {job.id}) is an hour late or more: {_WORKERS}" for job in late]
    active = [job for job in jobs if job.scheduled]
    if active and not any(job.has_run for job in active):
        bad.append(f"no policy has run yet ({len(active)} are there); if that stays so, {_WORKERS}")
    for text in bad:
        yield Finding("warning", "policies", text)
    if active and not bad:
        yield Finding("ok", "policies", f"{len(active)} policies; none failed when it ran last")


def judge_durability(row: Mapping[str, Any]) -> Iterator[Finding]:
    """Return what a crash or a failover may cost."""
    doubts = []
    if not row["fsync"]:
        doubts.append("fsync is off: a crash of the server can lose or ruin everything; turn it on")
    if not row["full_page_writes"]:
        doubts.append("full_page_writes is off: a power cut can ruin pages; turn it on")
    if row["synchronous_commit"] == "off":
        doubts.append("synchronous_commit is off: a crash loses the last commits, though they were acknowledged")
    if row["standbys"] and not row["synchronous_standbys"]:
        doubts.append("replication is asynchronous: a failover loses what the replica had not received yet")
    for doubt in doubts:
        yield Finding("warning", "durability", doubt)
    if not doubts:
        yield Finding("ok", "durability", "a commit survives a crash (fsync, synchronous_commit and full_page_writes)")


def _clock(skew_s: float) -> Finding:
    text = f"the database's clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    if abs(skew_s) > CLOCK_PROBLEM_S:
        return Finding("problem", "clock", f"{text}; idempotency keys would be refused: set both clocks by NTP")
    if abs(skew_s) > CLOCK_WARNING_S:
        return Finding("warning", "clock", f"{text}; set both clocks by NTP")
    return Finding("ok", "clock", "this machine's clock and the database's agree within a second")


def _connections(row: Mapping[str, Any]) -> Finding:
    # Our own connection is among the used ones and is free again in a moment.
    usable, free = row["connections_usable"], row["connections_usable"] - row["connections_used"] + 1
    if free < 1:
        return Finding("problem", "connections", f"all {usable} connections are in use; raise max_connections")
    if free < FEW_CONNECTIONS:
        text = f"only {free} of {usable} connections are free; a rollout needs twice those of the pods"
        return Finding("warning", "connections", f"{text}: raise max_connections")
    return Finding("ok", "connections", f"{free} of {usable} connections are free")
