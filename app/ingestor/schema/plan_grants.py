"""Plan the rights of writer and reader: exactly those they need, repaired when they drift. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from ingestor.schema.catalog import Catalog, Grant, ObjectKey
from ingestor.schema.identifiers import quote_function, quote_identifier, quote_relation
from ingestor.schema.objects import BOOKKEEPING, PUBLIC, grantable_objects, wanted_grants
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Step

LISTED_RIGHTS = 5
"""Most rights of a role that a sentence lists, which ends up in a condition; the statements have them all."""


def grant_steps(spec: SchemaSpec, catalog: Catalog, roles: Roles) -> list[Step]:
    """Return the step that gives what is missing and takes what is too much.

    Only objects that we made are looked at, and only the rights of our roles and of the public on them.
    """
    rollups = _rollups(spec, catalog)
    wanted = wanted_grants(spec.name, roles, rollups)
    ours = catalog.made | {("schema", spec.name), *BOOKKEEPING}
    missing = wanted - catalog.grants
    excess = {grant for grant in catalog.grants - wanted if (grant.kind, grant.name) in ours}
    if not missing and not excess:
        return []
    statements = (
        *_reset_new(spec.name, catalog, roles, rollups),
        *(_statement("REVOKE", spec.name, grants) for grants in _by_object(excess)),
        *(_statement("GRANT", spec.name, grants) for grants in _by_object(missing)),
    )
    parts = [f"give {_summary(missing)}"] if missing else []
    parts += [f"take {_summary(excess)}"] if excess else []
    return [Step("grants", spec.name, statements, " and ".join(parts))]


def _rollups(spec: SchemaSpec, catalog: Catalog) -> frozenset[str]:
    """Return the rollups that there are after this plan, and those whose drop waits for approval."""
    asked = {rollup.name for rollup in spec.rollups} if catalog.extension.community else set()
    return frozenset(asked | {name for kind, name in catalog.made if kind == "rollup"})


def _reset_new(schema: str, catalog: Catalog, roles: Roles, rollups: Iterable[str]) -> list[str]:
    """Clear what the database's default privileges give on objects that earlier steps of this plan make."""
    known = {item.key for item in catalog.objects} | ({("schema", schema)} if catalog.schema_owner else set())
    ours = (("schema", schema), *grantable_objects(), *(("rollup", name) for name in sorted(rollups)))
    new = [key for key in ours if key not in known]
    grantees = f"{PUBLIC}, {quote_identifier(roles.writer)}, {quote_identifier(roles.reader)}"
    return [f"REVOKE ALL ON {_target(schema, key)} FROM {grantees}" for key in new]


def _by_object(grants: Iterable[Grant]) -> list[list[Grant]]:
    groups: dict[tuple[str, str, str], list[Grant]] = defaultdict(list)
    for grant in sorted(grants):
        groups[grant.grantee, grant.kind, grant.name].append(grant)
    return [groups[key] for key in sorted(groups)]


def _statement(verb: str, schema: str, grants: list[Grant]) -> str:
    first = grants[0]
    privileges = ", ".join(grant.privilege for grant in grants)
    grantee = PUBLIC if first.grantee == PUBLIC else quote_identifier(first.grantee)
    direction = "TO" if verb == "GRANT" else "FROM"
    return f"{verb} {privileges} ON {_target(schema, (first.kind, first.name))} {direction} {grantee}"


def _target(schema: str, key: ObjectKey) -> str:
    kind, name = key
    if kind == "schema":
        return f"SCHEMA {quote_identifier(name)}"
    if kind == "function":
        return f"FUNCTION {quote_function(schema, name)}"
    return f"TABLE {quote_relation(schema, name)}"


def _summary(grants: Iterable[Grant]) -> str:
    by_role: dict[str, list[str]] = defaultdict(list)
    for grant in sorted(grants):
        by_role[grant.grantee].append(f"{grant.privilege} on {grant.name.partition('(')[0]}")
    return "; ".join(f"{role}: {_shown(rights)}" for role, rights in sorted(by_role.items()))


def _shown(rights: list[str]) -> str:
    return ", ".join(rights) if len(rights) <= LISTED_RIGHTS else f"{len(rights)} rights"
