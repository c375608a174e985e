"""Which fault strikes when, derived from the seed alone: the same seed gives the same schedule."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from faults.storm.plan import Kind, Plan

_FIRST_AT, _LAST_AT = 0.02, 0.95
"""Shares of all points between which faults strike; the rest shows that everything is back."""
_AHEAD_REFUSED_S = 306.0
"""A client's clock so far ahead has its keys refused, at more than 300 s, until it has waited a little."""
_CLIENT_JUMPS_S = (240.0, -240.0, _AHEAD_REFUSED_S)
_SERVER_JUMPS_S = (240.0, -240.0, -360.0)
"""The last one makes keys of every client look more than 300 s ahead: the server has to refuse them meanwhile."""
_ENDS_SERVER = (Kind.SERVER_KILLED, Kind.SERVER_TERMINATED)
_AT_ONE_SERVER = (Kind.BEFORE_COMMIT, Kind.DURING_COMMIT, Kind.COMMIT_ANSWER, Kind.SERVER_CLOCK)
_RAISES = (Kind.SAMPLES_TRIGGER, Kind.SERIES_RULE, Kind.REJECTS_TRIGGER)
_LENGTHS_S: dict[Kind, tuple[float, float]] = {
    Kind.DATABASE_KILLED: (0.0, 2.0),
    Kind.DATABASE_STOPPED: (0.0, 2.0),
    Kind.DATABASE_STALLED: (2.0, 5.0),
    Kind.BACKENDS_STALLED: (2.0, 5.0),
    Kind.SERVER_KILLED: (0.0, 1.0),
    Kind.SERVER_TERMINATED: (0.0, 1.0),
    Kind.NETWORK_CUT: (3.0, 7.0),
    Kind.DATA_DISK_FULL: (1.0, 3.0),
    Kind.WAL_DISK_FULL: (0.5, 2.0),
    Kind.SERVER_CLOCK: (2.0, 5.0),
    Kind.CLIENT_CLOCK: (1.0, 4.0),
    Kind.SAMPLES_CHECK: (1.0, 3.0),
    Kind.SAMPLES_TRIGGER: (1.0, 3.0),
    Kind.SERIES_RULE: (1.0, 3.0),
    Kind.REJECTS_TRIGGER: (1.0, 3.0),
    Kind.CHUNK_LOCKED: (2.0, 5.0),
    Kind.POOLER_KILLED: (0.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, due once ``at_points`` points are acked and ``at_s`` seconds have passed.

    ``target`` is the number of a server or client, None where it hits the database or all servers. ``length_s`` is how
    long it lasts; ``amount`` is a number of backends, or a clock's jump in seconds.
    """

    number: int
    at_points: int
    at_s: float
    kind: Kind
    target: int | None
    length_s: float
    amount: float

    def __str__(self) -> str:
        words = [f"{self.number:4}", f"at {self.at_points:>9,} points", self.kind]
        words += [f"of {self.target}"] if self.target is not None else []
        words += [f"for {self.length_s:.1f} s"] if self.length_s else []
        words += [f"by {self.amount:+g}"] if self.amount else []
        return "  ".join(words)


def make_schedule(plan: Plan) -> list[Strike]:
    """Return the faults of ``plan`` in the order in which they strike."""
    chance = random.Random(f"schedule/{plan.seed}")
    kinds = [(kind, nth) for kind in Kind for nth in range(plan.counts.get(kind, 0))]
    chance.shuffle(kinds)
    strikes = []
    for number, (kind, nth) in enumerate(kinds):
        share = (number + chance.random()) / len(kinds)
        at = int(plan.points * (_FIRST_AT + (_LAST_AT - _FIRST_AT) * share))
        length_s = round(chance.uniform(*_LENGTHS_S.get(kind, (0.0, 0.0))), 1)
        target = _target(plan, kind, nth, chance)
        at_s = round(plan.minutes * 60 * share, 1)
        strikes.append(Strike(number, at, at_s, kind, target, length_s, _amount(kind, nth, chance)))
    return strikes


def fingerprint(strikes: Sequence[Strike]) -> str:
    """Return a short name of a schedule, to see that two are the same."""
    return hashlib.sha256("\n".join(map(str, strikes)).encode()).hexdigest()[:12]


def _target(plan: Plan, kind: Kind, nth: int, chance: random.Random) -> int | None:
    if kind is Kind.CLIENT_CLOCK:
        return chance.randrange(plan.clients)
    if kind is Kind.POOLER_KILLED:
        return chance.randrange(plan.pooled)
    if kind in _ENDS_SERVER:
        # The last server lives through it all: whether its memory grows shows only then, and so does what becomes of
        # points that were answered from its buffer.
        return chance.randrange(max(1, plan.servers - bool(plan.minutes or plan.hostile_clients)))
    number = chance.randrange(plan.servers)
    if kind in _AT_ONE_SERVER or (kind is Kind.NETWORK_CUT and nth % 3):
        return number
    return None


def _amount(kind: Kind, nth: int, chance: random.Random) -> float:
    if kind is Kind.BACKENDS:
        return 2 + chance.randrange(3)
    if kind is Kind.BACKENDS_STALLED:
        return 1 + chance.randrange(3)
    if kind is Kind.SERVER_CLOCK:
        return _SERVER_JUMPS_S[nth % len(_SERVER_JUMPS_S)]
    if kind is Kind.CLIENT_CLOCK:
        return _CLIENT_JUMPS_S[nth % len(_CLIENT_JUMPS_S)]
    if kind in _RAISES:
        return nth  # the SQLSTATE: each comes in turn
    return 0.0
