"""What is there: the parts of a database that a plan rests on.

Knows no SQL; ``read_catalog`` fills it, tests make it up.
"""

from dataclasses import dataclass
from typing import Literal

from ingestor.schema.encoding import ENCODING

OWNER_COMMENT = "analytics-ingestor: objects that we made"
MIGRATION_COMMENT = "analytics-ingestor: applied migrations"

ObjectKey = tuple[str, str]
"""Kind (schema, table, view, rollup, index, function) and name."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server, the database and who is connected; ``version`` as in ``server_version_num``.

    ``system`` is the cluster's identifier, which a restore from a dump changes and a physical copy does not; ``now_us``
    is the server's time in microseconds since 1970-01-01 UTC; ``encoding`` is the database's.
    """

    database: str
    database_oid: int
    version: int
    session_user: str
    may_act_as_owner: bool
    owner_may_create: bool
    owner_may_log_in: bool = True
    system: str = ""
    now_us: int = 0
    encoding: str = ENCODING


@dataclass(frozen=True, slots=True)
class Extension:
    """TimescaleDB in this database; ``version`` is None where it is not installed.

    ``schema`` is the schema that it is in, or would be made in; ``closed_to`` are those of our roles that may not use
    it. ``community`` tells whether its licence allows columnstore, policies and continuous aggregates.
    """

    version: str | None
    schema: str
    preloaded: bool
    available: bool
    trusted: bool
    community: bool = False
    closed_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DatabaseObject:
    """A table, view, rollup, index or function; ``columns`` are ``name type`` in order."""

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
    """samples as TimescaleDB sees it; ``dimensions`` are the columns it is cut by.

    ``direct`` says that new points go to the columnstore at once (``timescaledb.direct_compress``).
    """

    interval_us: int
    dimensions: tuple[str, ...] = ("time",)
    chunks: int = 0
    size_bytes: int = 0
    direct: bool = False


@dataclass(frozen=True, slots=True)
class ColumnstoreSettings:
    """How chunks of samples are converted from now on; columns in order, ``DESC`` where it is set."""

    segment_by: tuple[str, ...]
    order_by: tuple[str, ...]


JobKind = Literal["columnstore", "retention", "refresh", "other"]


@dataclass(frozen=True, slots=True)
class Job:
    """A policy of TimescaleDB's on samples or on a rollup; times in seconds.

    ``procedure`` is what it runs; ``other`` is a kind that we never make. ``after_s`` is that of columnstore and
    retention, ``start_s`` and ``end_s`` are the offsets of a refresh; ``failure`` is what the last run failed with,
    empty where it did not; ``overdue`` means that it should have begun an hour ago or more.
    """

    id: int
    kind: JobKind
    relation: str
    schedule_s: int
    scheduled: bool = True
    after_s: int | None = None
    start_s: int | None = None
    end_s: int | None = None
    failure: str = ""
    procedure: str = ""
    has_run: bool = True
    overdue: bool = False

    @property
    def title(self) -> str:
        """Return what a person calls it."""
        return self.procedure if self.kind == "other" else f"{self.kind} policy"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A continuous aggregate in the schema."""

    name: str
    comment: str = ""
    materialized_only: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of samples or of a rollup, from ``start_us`` to ``end_us`` (excluded); ``rows`` is an estimate.

    ``converted`` chunks are kept by columns; ``earlier`` ones were converted by settings that have changed since.
    """

    relation: str
    name: str
    start_us: int
    end_us: int
    rows: int = 0
    converted: bool = False
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that a plan rests on; ``made`` are the objects that the table ``owner`` calls ours.

    ``kept_s`` is, for each relation, how long its data must be kept by what was accepted last, on builds without
    policies.
    """

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
    columnstore: ColumnstoreSettings | None = None
    jobs: tuple[Job, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    kept_s: tuple[tuple[str, int], ...] = ()

    def job(self, kind: JobKind, relation: str) -> Job | None:
        """Return the policy of this kind on samples or a rollup, or None."""
        return next((job for job in self.jobs if (job.kind, job.relation) == (kind, relation)), None)

    def chunks_of(self, relation: str) -> tuple[Chunk, ...]:
        """Return the chunks of samples or of a rollup, oldest first."""
        return tuple(sorted((c for c in self.chunks if c.relation == relation), key=lambda c: c.start_us))

    def find(self, key: ObjectKey) -> DatabaseObject | None:
        """Return the object of this kind and name, or None."""
        return next((item for item in self.objects if item.key == key), None)

    def has_bookkeeping(self) -> bool:
        """Tell whether both of our own tables are there and carry our mark."""
        owner, migration = self.find(("table", "owner")), self.find(("table", "migration"))
        if owner is None or migration is None:
            return False
        return owner.comment == OWNER_COMMENT and migration.comment == MIGRATION_COMMENT
