"""What strikes when: a schedule that follows from a seed alone, at positions in the points acked so far."""

import random
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong."""

    BACKEND_TERMINATED = "backend terminated"
    BACKEND_TERMINATED_IN_COMMIT = "backend terminated in COMMIT"
    BACKEND_STALLED = "backend stalled"
    SERVER_KILLED = "server killed with -9"
    SERVER_STOPPED = "server stopped with SIGTERM"
    DATABASE_KILLED = "PostgreSQL killed with -9"
    DATABASE_STOPPED = "PostgreSQL stopped at once"
    DATABASE_STALLED = "PostgreSQL stalled"
    NETWORK_CUT = "network to the database cut"
    DISK_FULL = "disk full under the database"
    CLOCK_JUMPED = "server's clock jumped"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: after how many acked points, on which server, for how long or by how much in seconds."""

    kind: Kind
    at_points: int
    server: int
    seconds: float


DEFAULT_COUNTS = {
    Kind.BACKEND_TERMINATED: 110,
    Kind.BACKEND_TERMINATED_IN_COMMIT: 40,
    Kind.BACKEND_STALLED: 4,
    Kind.SERVER_KILLED: 14,
    Kind.SERVER_STOPPED: 3,
    Kind.DATABASE_KILLED: 2,
    Kind.DATABASE_STOPPED: 1,
    Kind.DATABASE_STALLED: 3,
    Kind.NETWORK_CUT: 2,
    Kind.DISK_FULL: 1,
    Kind.CLOCK_JUMPED: 4,
}
SHORT_COUNTS = {
    Kind.BACKEND_TERMINATED: 10,
    Kind.BACKEND_TERMINATED_IN_COMMIT: 4,
    Kind.SERVER_KILLED: 2,
    Kind.DATABASE_KILLED: 1,
    Kind.DATABASE_STALLED: 1,
}

_SECONDS = {
    Kind.BACKEND_STALLED: (1.0, 4.0),
    Kind.DATABASE_STALLED: (2.0, 8.0),
    Kind.NETWORK_CUT: (2.0, 10.0),
    Kind.DISK_FULL: (3.0, 6.0),
    Kind.CLOCK_JUMPED: (-420.0, 420.0),
}


@dataclass(frozen=True, slots=True)
class StormOptions:
    """One storm; ``minutes`` above 0 repeats it with the next seed until they are over."""

    seed: int = 1
    points: int = 500_000
    servers: int = 3
    clients: int = 8
    minutes: float = 0.0
    sabotage: str = ""
    counts: dict[Kind, int] = field(default_factory=lambda: dict(DEFAULT_COUNTS))


def make_schedule(seed: int, points: int, servers: int, counts: dict[Kind, int]) -> list[Strike]:
    """Return the strikes of one storm in their order, spread over the middle nine tenths of its points."""
    chance = random.Random(f"schedule {seed}")
    strikes = [
        Strike(
            kind,
            int(points * chance.uniform(0.03, 0.93)),
            chance.randrange(servers),
            round(chance.uniform(*_SECONDS.get(kind, (0.0, 0.0))), 1),
        )
        for kind, count in counts.items()
        for _ in range(count)
    ]
    return sorted(strikes, key=lambda strike: strike.at_points)
