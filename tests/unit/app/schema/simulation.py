"""A database without a database: carries out the statements of a plan on a catalog."""

import re
from dataclasses import replace

from ingestor.schema.catalog import (
    MIGRATION_COMMENT,
    OWNER_COMMENT,
    AppliedMigration,
    Catalog,
    DatabaseObject,
    Extension,
    Grant,
    Hypertable,
    Index,
    Server,
)
from ingestor.schema.objects import COLUMNS, MADE_BY
from ingestor.schema.roles import Roles
from ingestor.schema.steps import Plan, Step
from ingestor.schema.versions import load_migrations
from unit.app.schema.simulated_ageing import NOW_US, age

ROLES = Roles.for_schema("analytics")

_MADE = re.compile(r"\('(\w+)', '([^']+)'\)")
_CREATE_INDEX = re.compile(r'CREATE INDEX "(\w+)" ON \S+ USING (\w+) \(([^)]*)\)')
_DROP_INDEX = re.compile(r'DROP INDEX IF EXISTS "\w+"\."(\w+)"')
_FORGET = re.compile(r"DELETE FROM \S+ WHERE kind = '(\w+)' AND name = '(\w+)'")
_GRANT = re.compile(r"(GRANT|REVOKE) ([A-Z, ]+) ON (SCHEMA|TABLE|FUNCTION) (.+?) (?:TO|FROM) (.+)")
_INTERVAL = re.compile(r"INTERVAL '(\d+) seconds'")


def empty_catalog() -> Catalog:
    """Return the catalog of a database after bootstrap."""
    return Catalog(
        server=Server("db", 1, 170_000, ROLES.owner, may_act_as_owner=True, owner_may_create=True, now_us=NOW_US),
        extension=Extension("2.23.0", "public", preloaded=True, available=True, trusted=True, community=True),
        roles=frozenset({ROLES.owner, ROLES.writer, ROLES.reader}),
    )


def simulate(catalog: Catalog, plan: Plan) -> Catalog:
    """Return what the catalog is after every step of the plan, held ones too."""
    assert not plan.problems
    for step in plan.steps:
        catalog = _run(catalog, step)
    return catalog


def _run(catalog: Catalog, step: Step) -> Catalog:
    match step.kind:
        case "extension":
            catalog = replace(catalog, extension=replace(catalog.extension, version="2.19.3"))
        case "schema":
            catalog = replace(catalog, schema_owner=catalog.schema_owner or ROLES.owner)
            catalog = _add_objects(catalog, DatabaseObject("table", "owner", ROLES.owner, OWNER_COMMENT))
            catalog = _add_objects(catalog, DatabaseObject("table", "migration", ROLES.owner, MIGRATION_COMMENT))
        case "migration":
            catalog = _migrate(catalog, int(step.name[:4]))
        case "hypertable" | "chunk_interval":
            found = _INTERVAL.search(step.statements[0])
            assert found
            interval_us = int(found[1]) * 1_000_000
            catalog = replace(catalog, hypertable=replace(catalog.hypertable or Hypertable(0), interval_us=interval_us))
        case _:
            pass
    for statement in step.statements:
        catalog = _execute(catalog, statement)
    return catalog


def _execute(catalog: Catalog, statement: str) -> Catalog:
    if ".owner (kind, name)" in statement:
        return replace(catalog, made=catalog.made | {(kind, name) for kind, name in _MADE.findall(statement)})
    if found := _FORGET.fullmatch(statement):
        return replace(catalog, made=catalog.made - {(found[1], found[2])})
    if found := _DROP_INDEX.fullmatch(statement):
        return replace(catalog, indexes=tuple(index for index in catalog.indexes if index.name != found[1]))
    if found := _CREATE_INDEX.match(statement):
        assert found[1] not in {index.name for index in catalog.indexes}, "an index of this name is there already"
        index = Index(found[1], found[2], tuple(found[3].split(", ")))
        return replace(catalog, indexes=(*catalog.indexes, index))
    if found := _GRANT.fullmatch(statement):
        return _change_grants(catalog, found)
    return age(catalog, statement)


def _change_grants(catalog: Catalog, found: re.Match[str]) -> Catalog:
    name = found[4].rpartition(".")[2].removesuffix("()").replace('"', "")
    names = {item.name: item.kind for item in catalog.objects} | {"analytics": "schema"}
    grantees = [grantee.strip('"') for grantee in found[5].split(", ")]
    if found[2] == "ALL":
        kept = {grant for grant in catalog.grants if not (grant.name == name and grant.grantee in grantees)}
        return replace(catalog, grants=frozenset(kept))
    changed = {
        Grant(names[name], name, grantee, privilege) for grantee in grantees for privilege in found[2].split(", ")
    }
    grants = catalog.grants | changed if found[1] == "GRANT" else catalog.grants - changed
    return replace(catalog, grants=grants)


def _migrate(catalog: Catalog, version: int) -> Catalog:
    migration = next(item for item in load_migrations() if item.version == version)
    applied = AppliedMigration(version, migration.name, migration.checksum, migration.minimum)
    for kind, name in MADE_BY[version]:
        catalog = _add_objects(catalog, DatabaseObject(kind, name, ROLES.owner, columns=COLUMNS.get(name, ())))
    return replace(catalog, migrations=(*catalog.migrations, applied))


def _add_objects(catalog: Catalog, added: DatabaseObject) -> Catalog:
    assert catalog.find(added.key) is None, f"{added.name} is there already"
    return replace(catalog, objects=(*catalog.objects, added))
