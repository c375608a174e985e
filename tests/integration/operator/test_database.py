"""The operator's bridge to the schema engine, against a real database."""

import base64
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor_operator.credentials import Credentials, read_credentials
from ingestor_operator.database import Target, check_durability, check_login, drop, keep_schema
from ingestor_operator.errors import DatabaseError
from ingestor_operator.resource.database import Database as DatabaseSpec
from support.database import Database, PrivateServer
from support.tls import make_certificates, require_tls

ROLES = Roles("analytics_owner", "analytics_writer", "analytics_reader")


def target(database: Database, name: str = "second", **change: object) -> Target:
    """Return a schema that is not there yet, in a database that has another."""
    spec = SchemaSpec.model_validate({"name": name, **change})
    return Target(database.owner_url, ROLES, spec, "Apply", None)


async def test_a_schema_is_made_kept_and_dropped(database: Database) -> None:
    made = await keep_schema(target(database))
    assert (made.reachable.status, made.applied.status) == ("True", "True")
    assert made.steps > 3
    assert (await keep_schema(target(database))).steps == 0
    assert "dropped" in await drop(target(database))
    assert "nothing of ours" in await drop(target(database))


async def test_a_plan_is_told_and_changes_nothing(database: Database) -> None:
    wanted = target(database)
    for _ in range(2):
        planned = await keep_schema(Target(wanted.owner_url, ROLES, wanted.spec, "Plan", None))
        assert (planned.applied.reason, planned.pods_may_roll) == ("PlanPending", False)
        assert "create schema second" in planned.applied.message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong"}, "AuthenticationFailed"),
        ({"database": "missing"}, "DatabaseMissing"),
        ({"port": 1}, "DatabaseUnavailable"),
    ],
    ids=["password", "database", "port"],
)
async def test_what_is_wrong_with_a_database_is_a_reason(
    database: Database, change: dict[str, object], reason: str
) -> None:
    parts = urlsplit(database.writer_url)
    password, port = change.get("password", parts.password), change.get("port", parts.port)
    path = change.get("database", parts.path.lstrip("/"))
    url = f"postgresql://{parts.username}:{password}@{parts.hostname}:{port}/{path}"
    verdict = await check_login(url)
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert "wrong" not in verdict.message
    assert (await check_login(database.writer_url)).good


async def test_a_schema_is_not_dropped_under_a_server_that_writes_to_it(database: Database) -> None:
    await keep_schema(target(database))
    writer = await asyncpg.connect(
        database.writer_url, server_settings={"application_name": "analytics-ingestor/second"}
    )
    try:
        with pytest.raises(DatabaseError, match="stop those servers") as refused:
            await drop(target(database))
        assert refused.value.reason == "SchemaInUse"
    finally:
        await writer.close()


async def test_durability_is_told(private_server: PrivateServer) -> None:
    url = private_server.database.admin_url
    assert (await check_durability(url)).reason == "Durable"
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.fetch("SELECT pg_reload_conf()")
    await connection.close()
    await private_server.server.stop()
    await private_server.server.start()
    verdict = await check_durability(url)
    assert (verdict.status, verdict.reason) == ("False", "NotDurable")
    assert "fsync is off" in verdict.message


async def test_credentials_of_a_secret_verify_the_server(private_server: PrivateServer, tmp_path: Path) -> None:
    certificates = await make_certificates(tmp_path)
    await require_tls(private_server, certificates)
    assert (await check_login(credentials(private_server.database, certificates.authority).url)).good
    refused = await check_login(credentials(private_server.database, certificates.stranger).url)
    assert (refused.status, refused.reason) == ("False", "TlsFailed")


def credentials(database: Database, authority: Path) -> Credentials:
    """Return the owner's credentials as a Secret and a spec with VerifyFull give them."""
    parts = urlsplit(database.owner_url)
    spec = DatabaseSpec.model_validate(
        {
            "host": "localhost",
            "port": parts.port,
            "name": parts.path.lstrip("/"),
            "writerSecretRef": {"name": "writer"},
            "ownerSecretRef": {"name": "owner"},
        }
    )
    values = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return read_credentials(
        {"metadata": {"uid": "1"}, "data": data}, "owner", spec, namespace="team", ca_file=str(authority)
    )
