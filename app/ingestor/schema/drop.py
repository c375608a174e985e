"""Remove what we made from a database, and nothing that anybody else made or that rests on ours.

Ours is what the table ``owner`` names, as far as the owner role still has it, and our two tables of account. The
roles and the extension stay: they belong to the administrator who made them.
"""

import logging
from dataclasses import dataclass

import asyncpg

from ingestor.schema.catalog import Catalog, ObjectKey
from ingestor.schema.connect import Connection, connected, place_of
from ingestor.schema.exclusive import APPLICATION, Limits, become_owner, repeat_while_locked, take_mutex
from ingestor.schema.faults import ConflictError, DependedOnError, SchemaError
from ingestor.schema.identifiers import quote_function, quote_identifier, quote_relation
from ingestor.schema.objects import BOOKKEEPING
from ingestor.schema.read_catalog import read_catalog, read_sizes
from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.writers import refuse_writers

logger = logging.getLogger(__name__)

STATEMENT_S = 600.0
"""Longest DROP or COMMIT: each chunk has rows in the catalogs and files to delete."""

_DROPS = {
    "rollup": "DROP MATERIALIZED VIEW {}",
    "view": "DROP VIEW {}",
    "function": "DROP FUNCTION {}",
    "table": "DROP TABLE {}",
}
"""In this order; an index goes with its table. Each has one object: TimescaleDB takes a hypertable only by itself."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table that a drop would remove; ``rows`` is an estimate, None where nothing was ever counted."""

    name: str
    rows: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DropPreview:
    """What a drop would remove now: every object, and of the tables how much is in them."""

    objects: tuple[ObjectKey, ...]
    tables: tuple[TableSize, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a drop removed: ``objects``, and the schema itself where ``schema`` is set.

    ``kept`` names, in PostgreSQL's words, what is not ours and made the schema stay.
    """

    objects: tuple[ObjectKey, ...] = ()
    schema: bool = False
    kept: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing of ours was there."""
        return not self.objects


async def preview_drop(owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None) -> DropPreview:
    """Return what ``drop_schema`` would remove now; changes nothing.

    Raises:
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user, or what is there belongs to another role.
    """
    known_roles = roles or Roles.for_schema(spec.name)
    async with connected(owner_url, APPLICATION) as connection:
        await become_owner(connection, known_roles)
        objects = _find_ours(await read_catalog(connection, spec.name, known_roles), spec.name, known_roles)
        names = [name for kind, name in objects if kind == "table"]
        sizes = await read_sizes(connection, spec.name, names)
    return DropPreview(objects, tuple(TableSize(*size) for size in sizes))


async def drop_schema(
    owner_url: str, spec: SchemaSpec, *, roles: Roles | None = None, limits: Limits | None = None
) -> Dropped:
    """Remove what we made, all of it or nothing, and return what went; where nothing is ours, do nothing.

    ``owner_url`` must be a direct connection, as for ``apply_schema``. Safe to repeat and to run twice at once. Of
    ``spec`` only the name counts. Stop the servers first.

    Raises:
        DependedOnError: something that is not ours rests on ours; everything is as it was.
        ConflictError: what carries our mark belongs to another role.
        SchemaInUseError: servers write to it.
        LockBusyError: another change, or a long transaction, was in the way for too long.
        SchemaTransientError: the database cannot be reached, or a statement took too long.
        SchemaError: the database refuses this user, or a statement; everything is as it was.
    """
    known_roles, known_limits = roles or Roles.for_schema(spec.name), limits or Limits()
    async with connected(owner_url, APPLICATION) as connection:
        await become_owner(connection, known_roles)
        await take_mutex(connection, spec.name, known_limits)
        catalog = await read_catalog(connection, spec.name, known_roles)
        objects = _find_ours(catalog, spec.name, known_roles)
        if not objects:
            return Dropped()
        await refuse_writers(connection, spec.name, known_limits.watch_s)
        work = _Drop(connection, spec.name, objects, ("schema", spec.name) in catalog.made, known_limits)
        task = f"{place_of(owner_url)}: could not drop schema {spec.name}"
        await repeat_while_locked(lambda: work.run(task), known_limits, task=task, on_wait=_log_wait)
    dropped = Dropped(objects, work.schema_dropped, work.kept)
    logger.info("schema dropped", extra={"schema": spec.name, "objects": len(objects), "kept": len(work.kept)})
    return dropped


class _Drop:
    """One transaction that removes everything, and what came of it."""

    def __init__(
        self, connection: Connection, schema: str, objects: tuple[ObjectKey, ...], made_schema: bool, limits: Limits
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._objects = objects
        self._made_schema = made_schema
        self._limits = limits
        self.schema_dropped = False
        self.kept: tuple[str, ...] = ()

    async def run(self, task: str) -> None:
        """Drop all objects and, where it is ours and empty then, the schema."""
        # Longer than a step waits: an autovacuum gives way only to those who wait longer than deadlock_timeout (1 s).
        waits = f"SET lock_timeout = {self._limits.long_lock_ms}; SET statement_timeout = {int(STATEMENT_S * 1000)}"
        await self._connection.execute(waits)
        await self._execute("BEGIN")
        try:
            await self._drop_objects(task)
            if self._made_schema:
                await self._drop_schema()
            await self._execute("COMMIT")
        except (asyncpg.PostgresError, SchemaError):
            await self._execute("ROLLBACK")
            raise

    async def _drop_objects(self, task: str) -> None:
        tables = [quote_relation(self._schema, name) for kind, name in self._objects if kind == "table"]
        # Before anything else: TimescaleDB looks for chunks before it waits for the lock, and one made meanwhile
        # would be taken for a foreign table.
        await self._execute(f"LOCK TABLE {', '.join(f'ONLY {table}' for table in tables)} IN ACCESS EXCLUSIVE MODE")
        for kind, name in [key for kind in _DROPS for key in self._objects if key[0] == kind]:
            quote = quote_function if kind == "function" else quote_relation
            try:
                await self._execute(_DROPS[kind].format(quote(self._schema, name)) + " RESTRICT")
            except asyncpg.DependentObjectsStillExistError as error:
                found = "; ".join((error.detail or str(error)).splitlines())
                advice = "drop or move what is not ours first, then try again"
                raise DependedOnError(f"{task}: {found}; nothing was dropped: {advice}") from error
            except asyncpg.OutOfMemoryError as error:
                advice = "raise max_locks_per_transaction, or let drop_chunks take old ones first"
                raise SchemaError(f"{task}: too many chunks for one transaction; {advice}") from error

    async def _drop_schema(self) -> None:
        await self._execute("SAVEPOINT emptied")
        try:
            await self._execute(f"DROP SCHEMA {quote_identifier(self._schema)} RESTRICT")
        except asyncpg.DependentObjectsStillExistError as error:
            await self._execute("ROLLBACK TO SAVEPOINT emptied")
            self.kept = tuple((error.detail or str(error)).splitlines())
        else:
            self.schema_dropped = True

    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement, timeout=STATEMENT_S + 5)


def _find_ours(catalog: Catalog, schema: str, roles: Roles) -> tuple[ObjectKey, ...]:
    """Return what of ours is there, by kind and name; a foreign object in the place of one of ours is none.

    Raises:
        ConflictError: our tables of account belong to another role, so that this one may not decide on them.
    """
    if not catalog.has_bookkeeping():
        return ()
    others = {item.owner for item in catalog.objects if item.key in BOOKKEEPING} - {roles.owner}
    if others:
        text = f"schema {schema} belongs to {', '.join(sorted(others))}, not to {roles.owner}"
        raise ConflictError(f"{text}; nothing was dropped: connect as its owner, or name it as the owner role")
    ours = catalog.made | set(BOOKKEEPING)
    return tuple(sorted(item.key for item in catalog.objects if item.key in ours and item.owner == roles.owner))


def _log_wait(attempt: int) -> None:
    logger.info("schema drop waits for a lock", extra={"attempt": attempt})
