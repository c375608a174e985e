"""Judge what a pod's own session says: encoding, read-only transactions, commits that wait, limits. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ingestor.schema.encoding import encoding_trouble
from ingestor.schema.preflight_server import Finding, Level


def judge_session(row: Mapping[str, Any], connections: int) -> Iterator[Finding]:
    """Return a finding for each thing in the way of a pod with so many connections; ``row`` is ``session.sql``'s."""
    if trouble := encoding_trouble(row["database"], row["encoding"]):
        yield Finding("problem", "encoding", trouble)
    else:
        yield Finding("ok", "encoding", f"the database has encoding {row['encoding']}")
    if row["read_only"]:
        text = "transactions are read-only (default_transaction_read_only of server, database or role)"
        yield Finding("problem", "server", f"{text}; turn it off")
    if row["commits_wait"]:
        text = "synchronous_standby_names is set and no standby is connected, so that each COMMIT waits"
        yield Finding("problem", "durability", f"{text}; connect one, or empty it")
    for whose, limit in (("role", row["role_limit"]), ("database", row["database_limit"])):
        if 0 <= limit < 2 * connections:
            level: Level = "problem" if limit < connections else "warning"
            text = (
                f"{whose} {row[whose]} may have {limit} connections; a pod has {connections}, twice that in a rollout"
            )
            yield Finding(level, "connections", f"{text}: raise its CONNECTION LIMIT")
