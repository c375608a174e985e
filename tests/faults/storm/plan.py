"""What a storm consists of: how much load, and how many faults of each kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Kind(StrEnum):
    """The faults, in the words of the report."""

    BACKENDS = "writers' backends terminated"
    BEFORE_COMMIT = "backend terminated between COPY and COMMIT"
    DURING_COMMIT = "backend terminated during COMMIT"
    COMMIT_ANSWER = "connection cut before COMMIT's answer"
    SERVER_KILLED = "server killed with -9"
    SERVER_TERMINATED = "server terminated in order"
    DATABASE_KILLED = "PostgreSQL killed with -9"
    DATABASE_STOPPED = "PostgreSQL stopped immediately"
    DATABASE_STALLED = "PostgreSQL stalled as a whole"
    BACKENDS_STALLED = "backends stalled"
    NETWORK_CUT = "network cut"
    DATA_DISK_FULL = "data disk full"
    WAL_DISK_FULL = "WAL disk full"
    SERVER_CLOCK = "server's clock jumped"
    CLIENT_CLOCK = "client's clock jumped"
    SAMPLES_CHECK = "CHECK on samples added and dropped"
    SAMPLES_TRIGGER = "trigger on samples that raises"
    SERIES_RULE = "CHECK or trigger on series"
    REJECTS_TRIGGER = "trigger on rejects that raises"
    CHUNK_LOCKED = "chunk locked"
    POOLER_KILLED = "PgBouncer killed with -9"


NEEDS_NETWORK = frozenset({Kind.NETWORK_CUT})
NEEDS_DISKS = frozenset({Kind.DATA_DISK_FULL, Kind.WAL_DISK_FULL})
NEEDS_CLOCKS = frozenset({Kind.SERVER_CLOCK})
NEEDS_POOLER = frozenset({Kind.POOLER_KILLED})

DEFAULT_COUNTS: Mapping[Kind, int] = {
    Kind.BACKENDS: 24,
    Kind.BEFORE_COMMIT: 22,
    Kind.DURING_COMMIT: 22,
    Kind.COMMIT_ANSWER: 10,
    Kind.SERVER_KILLED: 12,
    Kind.SERVER_TERMINATED: 4,
    Kind.DATABASE_KILLED: 2,
    Kind.DATABASE_STOPPED: 1,
    Kind.DATABASE_STALLED: 2,
    Kind.BACKENDS_STALLED: 2,
    Kind.NETWORK_CUT: 3,
    Kind.DATA_DISK_FULL: 1,
    Kind.WAL_DISK_FULL: 1,
    Kind.SERVER_CLOCK: 6,
    Kind.CLIENT_CLOCK: 6,
    Kind.SAMPLES_CHECK: 4,
    Kind.SAMPLES_TRIGGER: 12,
    Kind.SERIES_RULE: 4,
    Kind.REJECTS_TRIGGER: 3,
    Kind.CHUNK_LOCKED: 4,
    Kind.POOLER_KILLED: 6,
}
SHORT_COUNTS: Mapping[Kind, int] = {
    Kind.BACKENDS: 3,
    Kind.BEFORE_COMMIT: 3,
    Kind.DURING_COMMIT: 3,
    Kind.COMMIT_ANSWER: 3,
    Kind.SERVER_KILLED: 1,
    Kind.SERVER_TERMINATED: 1,
    Kind.DATABASE_STALLED: 1,
    Kind.CLIENT_CLOCK: 2,
    Kind.SAMPLES_CHECK: 2,
    Kind.SAMPLES_TRIGGER: 2,
    Kind.SERIES_RULE: 2,
    Kind.REJECTS_TRIGGER: 1,
    Kind.CHUNK_LOCKED: 1,
    Kind.POOLER_KILLED: 1,
}
HOSTILE_COUNTS: Mapping[Kind, int] = {
    Kind.BACKENDS: 4,
    Kind.BEFORE_COMMIT: 4,
    Kind.DURING_COMMIT: 4,
    Kind.COMMIT_ANSWER: 3,
    Kind.SERVER_KILLED: 2,
    Kind.SERVER_TERMINATED: 1,
    Kind.DATABASE_KILLED: 1,
    Kind.SAMPLES_CHECK: 6,
    Kind.SAMPLES_TRIGGER: 12,
    Kind.SERIES_RULE: 6,
    Kind.REJECTS_TRIGGER: 4,
    Kind.CHUNK_LOCKED: 4,
    Kind.POOLER_KILLED: 3,
}
MINUTES_OF_DEFAULT_COUNTS = 2.0
"""About what a storm with ``DEFAULT_COUNTS`` takes; longer ones have as many more faults."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One storm; everything in it that is left to chance follows from ``seed``.

    ``lost_share`` of the requests lose a reply, half of them after COMMIT: a little less of all replies, which come to
    10 %. ``minutes`` is the least duration. Before the faults come ``slices`` pairs of ``slice_s`` seconds in which
    healthy callers are measured with hostile clients and without; ``judge_waits`` says whether their waits can fail the
    storm, for which the machine must do nothing else. The first ``pooled`` servers go through a PgBouncer each, in the
    mode ``pooler``.
    """

    seed: int
    points: int
    counts: Mapping[Kind, int] = field(default_factory=lambda: DEFAULT_COUNTS)
    servers: int = 3
    clients: int = 8
    hostile_clients: int = 3
    slices: int = 3
    slice_s: float = 4.0
    judge_waits: bool = True
    lost_share: float = 0.12
    minutes: float = 0.0
    namespaces: bool = True
    disks: bool = True
    clocks: bool = True
    pooler: str = "transaction"
    pooled: int = 1
    latin: bool = True

    def without(self, kinds: frozenset[Kind]) -> "Plan":
        """Return the plan without faults that this machine cannot make."""
        return replace(self, counts={kind: count for kind, count in self.counts.items() if kind not in kinds})


def default_plan(seed: int, points: int = 600_000, minutes: float = 0.0) -> Plan:
    """Return every kind of fault; with ``minutes``, as many more as that time takes, with half as many more points."""
    factor = max(1.0, minutes / MINUTES_OF_DEFAULT_COUNTS)
    counts = {kind: round(count * factor) for kind, count in DEFAULT_COUNTS.items()}
    return Plan(seed, round(points * (1 + factor) / 2), counts, minutes=minutes)


def hostile_plan(seed: int, points: int = 100_000) -> Plan:
    """Return what others do in the database, with few kills, and a long look at what healthy callers notice of it."""
    return Plan(seed, points, HOSTILE_COUNTS, slices=8, slice_s=6.0, namespaces=False, disks=False, clocks=False)


def short_plan(seed: int, points: int = 40_000) -> Plan:
    """Return the faults that need no rights, no time, and no machine of their own."""
    plan = Plan(seed, points, SHORT_COUNTS, slices=2, slice_s=3.0, judge_waits=False)
    return replace(plan, namespaces=False, disks=False, clocks=False)
