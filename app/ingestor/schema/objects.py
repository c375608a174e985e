"""Which objects each migration makes, and who may do what with them."""

from collections.abc import Iterable

from ingestor.schema.catalog import Grant, ObjectKey
from ingestor.schema.roles import Roles

BOOKKEEPING: tuple[ObjectKey, ...] = (("table", "migration"), ("table", "owner"))

_TIMES = "timestamp with time zone, timestamp with time zone, interval"
_QUERIES = (
    "query_source(interval)",
    *(f"{name}(text, text, {_TIMES}, jsonb)" for name in ("query_scope", "buckets", "increase", "rate")),
)

MADE_BY: dict[int, tuple[ObjectKey, ...]] = {
    1: (
        ("table", "series"),
        ("index", "series_names"),
        ("table", "samples"),
        ("view", "metrics"),
        ("table", "ledger"),
        ("table", "ledger_beat"),
        ("table", "rejects"),
        ("index", "rejects_at"),
    ),
    2: (("function", "maintain"),),
    3: (("table", "retention"),),
    4: tuple(("function", signature) for signature in _QUERIES),
    5: (),
    6: (),
}
"""Migration version to the objects it makes; what it makes implicitly, such as primary keys, is left out."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "series": ("id bigint", "digest bytea", "service_name text", "metric_name text", "labels jsonb"),
    "samples": ("time timestamp with time zone", "series_id bigint", "value double precision"),
    "ledger": ("key uuid", "digest bigint", "accepted integer", "rejected integer"),
    "ledger_beat": ("at timestamp with time zone",),
    "retention": ("relation text", "keep_s bigint"),
    "rejects": ("at timestamp with time zone", "pod text", "reason text", "field text", "message text", "point jsonb"),
}
"""The columns that the service relies on; a table may have more."""

PUBLIC = "PUBLIC"

WRITER_RIGHTS: dict[ObjectKey, tuple[str, ...]] = {
    ("table", "samples"): ("INSERT",),
    ("table", "rejects"): ("INSERT",),
    ("table", "series"): ("INSERT", "SELECT"),
    ("table", "ledger_beat"): ("INSERT", "SELECT"),
    ("table", "ledger"): ("DELETE", "INSERT", "SELECT"),
    ("table", "migration"): ("SELECT",),
    ("table", "retention"): ("SELECT",),
    ("function", "maintain"): ("EXECUTE",),
}
_READER: dict[ObjectKey, tuple[str, ...]] = {
    ("view", "metrics"): ("SELECT",),
    ("table", "samples"): ("SELECT",),
    ("table", "series"): ("SELECT",),
    **{("function", signature): ("EXECUTE",) for signature in _QUERIES},
}
"""samples and series hold what the view shows; rollups and our functions have and use the series' id."""


def grantable_objects() -> tuple[ObjectKey, ...]:
    """Return every object of ours that has rights of its own."""
    return tuple(key for keys in (BOOKKEEPING, *MADE_BY.values()) for key in keys if key[0] != "index")


def wanted_grants(schema: str, roles: Roles, rollups: Iterable[str] = ()) -> frozenset[Grant]:
    """Return every right that writer and reader shall have; they and the public shall have no other."""
    usage: dict[ObjectKey, tuple[str, ...]] = {("schema", schema): ("USAGE",)}
    reader = usage | _READER | {("rollup", name): ("SELECT",) for name in rollups}
    return frozenset(
        Grant(kind, name, grantee, privilege)
        for grantee, rights in ((roles.writer, usage | WRITER_RIGHTS), (roles.reader, reader))
        for (kind, name), privileges in rights.items()
        for privilege in privileges
    )
