"""TLS to the database: what verifies is used, what does not is refused in words, wherever a connection is opened."""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestor.errors import IngestorError
from ingestor.schema.apply import plan_schema
from ingestor.schema.connect import connected
from ingestor.schema.faults import AuthenticationFailedError, SchemaError, TlsFailedError
from ingestor.schema.spec import SchemaSpec
from ingestor.storage.connection import close_connection, open_connection
from ingestor.storage.contract import ErrorClass, FlushError
from support.database import SCHEMA, Database, PrivateServer
from support.points import columns
from support.service import running_service
from support.tls import Certificates, make_certificates, require_tls, with_options

IN_USE = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def open_for_schema(url: str) -> bool:
    """Connect as the schema commands do and tell whether TLS is in use."""
    async with connected(url, "test") as connection:
        return bool(await connection.fetchval(IN_USE))


async def open_for_storage(url: str) -> bool:
    """Connect as a pod does and tell whether TLS is in use."""
    connection = await open_connection(url, SCHEMA)
    try:
        return bool(await connection.fetchval(IN_USE))
    finally:
        await close_connection(connection)


Opener = Callable[[str], Awaitable[bool]]
NOBODY = 65_534
OPENERS: list[Opener] = [open_for_schema, open_for_storage]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take what libpq's variables and files of this machine would add."""
    for name in ("PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def closed_home(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Give a home folder that this process may not look into, as in a container whose image was made for root."""
    home = tmp_path / "closed"
    home.mkdir(mode=0o000)
    monkeypatch.setenv("HOME", str(home))
    "localhost".encode("idna")  # Python itself may be in a folder of root's, and loads this when it connects
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(NOBODY)
    yield home
    if privileged:
        os.seteuid(0)


@pytest.fixture
async def certificates(tmp_path: Path) -> Certificates:
    return await make_certificates(tmp_path)


@pytest.fixture
async def secure(private_server: PrivateServer, certificates: Certificates) -> Database:
    """Return the database of a server that takes TLS only, with a certificate for ``localhost``."""
    await require_tls(private_server, certificates)
    return private_server.database


async def assert_refused(opener: Opener, url: str, words: str) -> None:
    with pytest.raises(IngestorError, match=words) as raised:
        await opener(url)
    if isinstance(raised.value, FlushError):
        assert raised.value.error_class is ErrorClass.SCHEMA
    else:
        assert isinstance(raised.value, TlsFailedError)
        assert raised.value.reason == "tls_failed"
    assert "writer:" not in str(raised.value)


async def test_a_certificate_of_the_right_authority_is_accepted(secure: Database, certificates: Certificates) -> None:
    for opener in OPENERS:
        assert await opener(with_options(secure.writer_url, sslmode="verify-full", sslrootcert=certificates.authority))


async def test_a_certificate_that_does_not_verify_is_refused_by_what_is_wrong(
    secure: Database, certificates: Certificates
) -> None:
    cases = [
        ("localhost", certificates.stranger, "certificate is not accepted: .*; give the certificate of the CA"),
        ("127.0.0.1", certificates.authority, "IP address mismatch.*; connect by a name in the certificate"),
    ]
    for opener in OPENERS:
        for host, authority, words in cases:
            url = with_options(secure.writer_url, host=host, sslmode="verify-full", sslrootcert=authority)
            await assert_refused(opener, url, words)
        # Only the name differs from the refusal above.
        url = with_options(secure.writer_url, host="127.0.0.1", sslmode="verify-ca", sslrootcert=certificates.authority)
        assert await opener(url)


async def test_a_certificate_for_another_host_is_refused(private_server: PrivateServer, tmp_path: Path) -> None:
    certificates = await make_certificates(tmp_path, "elsewhere.example")
    await require_tls(private_server, certificates)
    url = with_options(private_server.database.writer_url, sslmode="verify-full", sslrootcert=certificates.authority)
    for opener in OPENERS:
        await assert_refused(opener, url, "Hostname mismatch.*'localhost'.*; connect by a name in the certificate")


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_server_without_tls_is_refused(database: Database, certificates: Certificates, opener: Opener) -> None:
    url = with_options(database.writer_url, sslmode="verify-full", sslrootcert=certificates.authority)
    await assert_refused(opener, url, "the server offers no TLS")


@pytest.mark.parametrize("opener", OPENERS)
async def test_files_that_cannot_be_used_are_refused_before_anything_is_sent(opener: Opener, tmp_path: Path) -> None:
    (tmp_path / "noise").write_text("no certificate")
    url = "postgresql://writer:writer@127.0.0.1:1/x"
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "no CA certificate to check the server with.*sslrootcert=FILE.*ca-certificates.crt"),
        ({"sslrootcert": tmp_path / "nowhere"}, "cannot be read: No such file"),
        ({"sslrootcert": "system"}, "cannot be read: No such file.*the system's CAs: /etc"),
        ({"sslrootcert": tmp_path}, "cannot be read: Is a directory"),
        ({"sslrootcert": tmp_path / "noise"}, "TLS fails: .*sslrootcert"),
    ]
    for options, words in cases:
        await assert_refused(opener, with_options(url, sslmode="verify-full", **options), words)


async def test_what_the_url_leaves_out_comes_from_libpqs_variables(
    secure: Database, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = with_options(secure.writer_url, login=False)
    full = with_options(secure.writer_url, login=False, sslmode="verify-full", sslrootcert=certificates.authority)
    monkeypatch.setenv("PGUSER", "analytics_writer")
    monkeypatch.setenv("PGPASSWORD", "writer")
    for opener in OPENERS:
        assert await opener(full)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(certificates.authority))
    for opener in OPENERS:
        assert await opener(bare)
    monkeypatch.setenv("PGSSLROOTCERT", str(certificates.stranger))
    for opener in OPENERS:
        await assert_refused(opener, bare, "certificate is not accepted")
        assert await opener(full), "the URL goes before the environment"


async def test_the_whole_service_and_the_schema_commands_work_over_tls(
    secure: Database, certificates: Certificates
) -> None:
    options: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": certificates.authority}
    assert (await plan_schema(with_options(secure.owner_url, **options), SchemaSpec(name=SCHEMA))).empty
    async with running_service(with_options(secure.writer_url, **options)) as service:
        reply = await service.client.write(columns(3))
    assert reply.accepted_points == 3


async def test_a_wrong_password_and_a_connection_without_tls_are_told_apart_from_certificates(
    secure: Database, certificates: Certificates
) -> None:
    tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": certificates.authority}
    wrong = with_options(secure.writer_url.replace(":writer@", ":wrong@"), **tls)
    missing = with_options(secure.writer_url.replace("/ingestor", "/nowhere"), **tls)
    plain = with_options(secure.writer_url, sslmode="disable")
    for url, reason, words in [
        (wrong, "authentication_failed", "password authentication failed"),
        (plain, "authentication_failed", "no encryption"),
        (missing, "database_missing", "does not exist"),
    ]:
        with pytest.raises(SchemaError, match=words) as raised:
            await open_for_schema(url)
        assert raised.value.reason == reason
        assert isinstance(raised.value, AuthenticationFailedError) == (reason == "authentication_failed")


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("mode", ["prefer", "require"])
async def test_a_home_that_cannot_be_read_is_named(
    closed_home: Path, database: Database, opener: Opener, mode: str
) -> None:
    with pytest.raises((TlsFailedError, FlushError), match=rf"\.postgresql in {closed_home}, .*; set HOME"):
        await opener(with_options(database.writer_url, sslmode=mode))


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_home_that_cannot_be_read_is_no_trouble_without_tls(
    closed_home: Path, database: Database, opener: Opener
) -> None:
    assert not await opener(with_options(database.writer_url, sslmode="disable"))
