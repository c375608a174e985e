"""The migrations that this version brings, and the one that the service needs.

A migration only ever adds. A file that has been released is never edited: a new one follows it.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

REQUIRED_VERSION = 2
"""The migration that a pod must find applied before it writes."""

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_MINIMUM = re.compile(r"-- minimum: (\d+)\n")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change of the tables.

    ``minimum`` is the version that other software must at least know to go on working once this is applied;
    ``sql`` still holds the schema's name as ``:"schema"``.
    """

    version: int
    name: str
    minimum: int
    checksum: str
    sql: str


def read_sql(*path: str) -> str:
    """Return a file below ``schema/sql``, as it was shipped."""
    return files("ingestor.schema").joinpath("sql", *path).read_text(encoding="utf-8")


@cache
def load_migrations() -> tuple[Migration, ...]:
    """Return every migration of this version, in order."""
    names = sorted(entry.name for entry in files("ingestor.schema").joinpath("sql", "migrations").iterdir())
    return tuple(_parse(name) for name in names if name.endswith(".sql"))


def newest_version() -> int:
    """Return the last migration that this version knows."""
    return load_migrations()[-1].version


def _parse(file_name: str) -> Migration:
    text = read_sql("migrations", file_name)
    named, minimum = _FILE_NAME.fullmatch(file_name), _MINIMUM.match(text)
    if named is None or minimum is None:
        raise ValueError(f"{file_name}: a migration is NNNN_name.sql and starts with '-- minimum: N'")
    return Migration(
        version=int(named[1]),
        name=named[2],
        minimum=int(minimum[1]),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
        sql=text,
    )
