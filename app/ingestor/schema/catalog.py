"""What is there: the parts of a database that a plan rests on, and nothing that changes by itself.

Knows no SQL; ``read_catalog`` fills it, tests make it up.
"""

from dataclasses import dataclass

OWNER_COMMENT = "analytics-ingestor: objects that we made"
MIGRATION_COMMENT = "analytics-ingestor: applied migrations"

ObjectKey = tuple[str, str]
"""Kind (schema, table, view, index, function) and name."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server, the database and who is connected; ``version`` as in ``server_version_num``."""

    database: str
    database_oid: int
    version: int
    session_user: str
    may_act_as_owner: bool
    owner_may_create: bool


@dataclass(frozen=True, slots=True)
class Extension:
    """TimescaleDB in this database; ``version`` and ``schema`` are None where it is not installed."""

    version: str | None
    schema: str | None
    preloaded: bool
    available: bool
    trusted: bool


@dataclass(frozen=True, slots=True)
class DatabaseObject:
    """A table, view, index or function; ``columns`` are ``name type`` in order."""

    kind: str
    name: str
    owner: str
    comment: str = ""
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> ObjectKey:
        """Return kind and name."""
        return self.kind, self.name


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One right of one role on one object."""

    kind: str
    name: str
    grantee: str
    privilege: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One row of the table ``migration``."""

    version: int
    name: str
    checksum: str
    minimum: int


@dataclass(frozen=True, slots=True)
class Index:
    """An index of samples; ``restricted`` means unique or partial, which ours never are."""

    name: str
    method: str
    columns: tuple[str, ...]
    valid: bool = True
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class Hypertable:
    """samples as TimescaleDB sees it; ``dimensions`` are the columns it is cut by."""

    interval_us: int
    dimensions: tuple[str, ...] = ("time",)
    chunks: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that a plan rests on; ``made`` are the objects that the table ``owner`` calls ours."""

    server: Server
    extension: Extension
    roles: frozenset[str] = frozenset()
    schema_owner: str | None = None
    objects: tuple[DatabaseObject, ...] = ()
    made: frozenset[ObjectKey] = frozenset()
    migrations: tuple[AppliedMigration, ...] = ()
    grants: frozenset[Grant] = frozenset()
    indexes: tuple[Index, ...] = ()
    hypertable: Hypertable | None = None

    def find(self, key: ObjectKey) -> DatabaseObject | None:
        """Return the object of this kind and name, or None."""
        return next((item for item in self.objects if item.key == key), None)

    def has_bookkeeping(self) -> bool:
        """Tell whether both of our own tables are there and carry our mark."""
        owner, migration = self.find(("table", "owner")), self.find(("table", "migration"))
        if owner is None or migration is None:
            return False
        return owner.comment == OWNER_COMMENT and migration.comment == MIGRATION_COMMENT
