"""The migrations as they are shipped."""

import re

from ingestor.schema.objects import MADE_BY
from ingestor.schema.versions import REQUIRED_VERSION, load_migrations


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.version for migration in load_migrations()] == list(range(1, len(load_migrations()) + 1))


def test_the_service_needs_a_migration_that_is_shipped() -> None:
    assert REQUIRED_VERSION in {migration.version for migration in load_migrations()}


def test_no_migration_shuts_out_the_version_that_brings_it() -> None:
    assert all(1 <= migration.minimum <= migration.version for migration in load_migrations())


def test_migrations_only_add() -> None:
    for migration in load_migrations():
        assert not re.search(r"\b(DROP|TRUNCATE|RENAME)\b", migration.sql)


def test_every_object_of_a_migration_is_listed() -> None:
    for migration in load_migrations():
        pattern = r"CREATE (TABLE|VIEW|INDEX|FUNCTION) (?::\"schema\"\.)?(\w+)"
        made = {(kind.lower(), name) for kind, name in re.findall(pattern, migration.sql)}
        assert made == {(kind, name.partition("(")[0]) for kind, name in MADE_BY[migration.version]}
