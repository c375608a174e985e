"""What a superuser does once: the three roles, the extension, and the owner's right to make a schema.

Passwords leave this process only as SCRAM verifiers, so that no server log holds one.
"""

import asyncio

import asyncpg

from ingestor.errors import words_of
from ingestor.schema.connect import Connection, connected, explain, place_of
from ingestor.schema.encoding import encoding_trouble
from ingestor.schema.faults import EncodingError, ExtensionMissingError
from ingestor.schema.identifiers import check_schema_name, quote_identifier, quote_literal
from ingestor.schema.passwords import scram_verifier
from ingestor.schema.policies import FALLBACK_SCHEMA
from ingestor.schema.roles import Roles

__all__ = ["Roles", "bootstrap", "bootstrap_sql"]

ATTEMPTS = 10
"""Tries of one statement: roles are shared by all databases, and two changes of one at once fail one of them."""

_DATABASE = """
SELECT datname::text, pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = current_database()
"""
_CREATE_ROLE = """DO $bootstrap$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal}) THEN
        CREATE ROLE {name} LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $bootstrap$"""

_PLACE_EXTENSION = """DO $bootstrap$
DECLARE
    place name;
    role  name;
BEGIN
    SELECT nspname INTO place
      FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace
     WHERE extname = 'timescaledb';
    IF place IS NULL THEN
        place := 'public';
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = place) THEN
            place := {fallback};
            EXECUTE pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I', place);
        END IF;
        EXECUTE pg_catalog.format('CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA %I', place);
    END IF;
    FOREACH role IN ARRAY ARRAY[{owner}, {reader}]::name[] LOOP
        IF NOT pg_catalog.has_schema_privilege(role, place::text, 'USAGE') THEN
            EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', place, role);
        END IF;
    END LOOP;
    -- People who read write `FROM metrics`, and call the extension's functions, such as time_bucket.
    EXECUTE pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET search_path = %I, %I',
                              {reader}, pg_catalog.current_database(), {schema}, place);
END $bootstrap$"""

_CLOSE_PUBLIC = """DO $bootstrap$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
END $bootstrap$"""


def bootstrap_sql(database: str, roles: Roles, schema: str = "analytics") -> str:
    """Return the SQL for a superuser to run in ``database``; running it again changes nothing but password salts.

    Raises:
        ValueError: ``schema`` or ``database`` cannot be a name, or a password holds a NUL.
    """
    lines = [f"-- Roles of schema {check_schema_name(schema)}. Run in the database itself, as a superuser, with psql."]
    lines += [f"{statement};" for statement in _statements(database, roles, schema)]
    without = [name for name, password in _logins(roles) if password is None]
    lines += [f"-- {name} has no password from here; give it one with:  \\password {name}" for name in without]
    return "\n".join(lines) + "\n"


async def bootstrap(admin_url: str, roles: Roles, schema: str = "analytics") -> None:
    """Run ``bootstrap_sql`` in the database of ``admin_url``; safe to repeat and to run twice at once.

    Raises:
        EncodingError: the database's encoding can't hold every text.
        ExtensionMissingError: the server has no TimescaleDB, or does not preload it.
        SchemaTransientError: the database cannot be reached.
        SchemaError: the database refuses this user, or it may not do this.
    """
    async with connected(admin_url, "ingestor-bootstrap") as connection:
        database, encoding = await connection.fetchrow(_DATABASE) or ("", "")
        if trouble := encoding_trouble(database, encoding):
            raise EncodingError(trouble)
        for statement in _statements(database, roles, schema):
            await _run(connection, statement, place_of(admin_url))


def _logins(roles: Roles) -> tuple[tuple[str, str | None], ...]:
    return (
        (roles.owner, roles.owner_password),
        (roles.writer, roles.writer_password),
        (roles.reader, roles.reader_password),
    )


def _statements(database: str, roles: Roles, schema: str) -> list[str]:
    statements = []
    for name, password in _logins(roles):
        statements.append(_CREATE_ROLE.format(literal=quote_literal(name), name=quote_identifier(name)))
        if password is not None:
            verifier = quote_literal(scram_verifier(password))
            statements.append(f"ALTER ROLE {quote_identifier(name)} LOGIN PASSWORD {verifier}")
    target = f"DATABASE {quote_identifier(database)}"
    owner, writer, reader = (quote_identifier(name) for name, _ in _logins(roles))
    return [
        *statements,
        _PLACE_EXTENSION.format(
            fallback=quote_literal(FALLBACK_SCHEMA),
            owner=quote_literal(roles.owner),
            reader=quote_literal(roles.reader),
            schema=quote_literal(check_schema_name(schema)),
        ),
        f"GRANT CONNECT, CREATE ON {target} TO {owner}",
        f"GRANT CONNECT ON {target} TO {writer}, {reader}",
        _CLOSE_PUBLIC,
    ]


async def _run(connection: Connection, statement: str, place: str) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await connection.execute(statement)
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError) as error:
            # Another bootstrap at the same time; "tuple concurrently updated" has no SQLSTATE of its own.
            expected = isinstance(error, asyncpg.UniqueViolationError) or "concurrently" in str(error)
            if attempt == ATTEMPTS or not expected:
                raise
            await asyncio.sleep(0.05 * attempt)
        except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError) as error:
            raise ExtensionMissingError(f"{place}: {words_of(error)}; install TimescaleDB on the server") from error
        except asyncpg.PostgresError as error:
            raise explain(error, place) from error
        else:
            return
