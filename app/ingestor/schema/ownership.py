"""The statements that write down which objects are ours. Pure."""

from ingestor.schema.catalog import ObjectKey
from ingestor.schema.identifiers import quote_identifier, quote_literal


def record_made(schema: str, keys: tuple[ObjectKey, ...]) -> str:
    """Return the statement that calls these objects ours."""
    values = ", ".join(f"({quote_literal(kind)}, {quote_literal(name)})" for kind, name in keys)
    return f"INSERT INTO {quote_identifier(schema)}.owner (kind, name) VALUES {values} ON CONFLICT DO NOTHING"


def forget_made(schema: str, key: ObjectKey) -> str:
    """Return the statement that no longer calls this object ours."""
    kind, name = quote_literal(key[0]), quote_literal(key[1])
    return f"DELETE FROM {quote_identifier(schema)}.owner WHERE kind = {kind} AND name = {name}"
