"""The versions of PostgreSQL and TimescaleDB that the tests run on. Pure."""

import re

POSTGRESQL = (17, 18)
"""First and last major version."""
TIMESCALEDB = ((2, 19), (2, 31))
"""First and last minor version."""


def tested_postgresql() -> str:
    """Return the range for people."""
    return f"{POSTGRESQL[0]} to {POSTGRESQL[1]}"


def tested_timescaledb() -> str:
    """Return the range for people."""
    first, last = (".".join(map(str, version)) for version in TIMESCALEDB)
    return f"{first} to {last}"


def is_tested_postgresql(number: int) -> bool:
    """Return True if this ``server_version_num`` is within the range."""
    return POSTGRESQL[0] <= number // 10_000 <= POSTGRESQL[1]


def is_tested_timescaledb(version: str) -> bool:
    """Return True if this version of the extension, such as ``2.31.0``, is within the range."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and TIMESCALEDB[0] <= (int(found[1]), int(found[2])) <= TIMESCALEDB[1]
