"""Put names and texts into SQL safely; DDL takes no parameters."""

import re

SCHEMA_PATTERN = r"^[a-z_][a-z0-9_]{0,39}$"
ROLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.@-]{0,62}$"

_RESERVED = re.compile(r"pg_.*|information_schema|_?timescaledb_.*")


def check_schema_name(name: str) -> str:
    """Return ``name`` if it can be the name of our schema.

    Raises:
        ValueError: it has other characters than we take, or PostgreSQL or TimescaleDB keep it for themselves.
    """
    if not re.fullmatch(SCHEMA_PATTERN.strip("^$"), name):
        raise ValueError(f"schema name {name!r} must be 1 to 40 of a-z, 0-9 and _, and not start with a digit")
    if _RESERVED.fullmatch(name):
        raise ValueError(f"schema name {name!r} is reserved by PostgreSQL or TimescaleDB")
    return name


def check_role_name(name: str) -> str:
    """Return ``name`` if it can be the name of a role.

    Raises:
        ValueError: it is empty, too long or has characters that we do not take.
    """
    if not re.fullmatch(ROLE_PATTERN.strip("^$"), name):
        raise ValueError(
            f"role name {name!r} must be 1 to 63 letters, digits or any of _.@- and start with a letter or _"
        )
    return name


def quote_identifier(name: str) -> str:
    """Return ``name`` as a quoted identifier.

    Raises:
        ValueError: the name is empty or holds a NUL, which PostgreSQL cannot store.
    """
    if not name or "\0" in name:
        raise ValueError("a name in SQL must not be empty or hold a NUL")
    return '"' + name.replace('"', '""') + '"'


def quote_relation(schema: str, name: str) -> str:
    """Return a table, a view or an index of ``schema``, quoted."""
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"


def quote_function(schema: str, signature: str) -> str:
    """Return a function of ``schema``, by its name and, where it takes arguments, their types in brackets."""
    name, _, types = signature.partition("(")
    return f"{quote_relation(schema, name)}({types or ')'}"


def quote_literal(text: str) -> str:
    """Return ``text`` as a string constant that reads the same whatever ``standard_conforming_strings`` says.

    Raises:
        ValueError: the text holds a NUL.
    """
    if "\0" in text:
        raise ValueError("a text in SQL must not hold a NUL")
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def render(sql: str, schema: str) -> str:
    """Return ``sql`` with ``:"schema"`` and ``:'schema'`` replaced, as psql writes variables.

    Other than psql this also replaces them inside dollar quotes: function bodies name the schema too.

    Raises:
        ValueError: ``schema`` is no name that we take.
    """
    check_schema_name(schema)
    return sql.replace(':"schema"', quote_identifier(schema)).replace(":'schema'", quote_literal(schema))
