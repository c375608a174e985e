"""From a Secret to a URL that drivers read as it was meant, and no password anywhere else."""

import base64
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st

from ingestor_operator.credentials import Credentials, read_credentials
from ingestor_operator.errors import BlockedError
from ingestor_operator.resource.database import Database
from support.operator_specs import DATABASE

NASTY = ["p@ss/w:rd?#%&=+ []", "%41%zz", "ünï😀", "a\\b'c\"d", "$(PGUSER)${X}", " ", "\n", "://", "@", "%"]


def secret(**values: str) -> dict[str, Any]:
    """Return a Secret as the API server gives it."""
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}}


def database(**changes: Any) -> Database:
    """Return the database of a spec; a host of None means that the Secrets hold a uri."""
    parts = {key: value for key, value in {**DATABASE, **changes}.items() if value is not None}
    return Database.model_validate(parts)


URI = database(host=None, name=None)


def as_asyncpg_reads(credentials: Credentials) -> tuple[Any, ...]:
    """Return addresses, user, password and database."""
    addresses, parameters, *_ = _parse_connect_dsn_and_args(
        dsn=credentials.url,
        host=None,
        port=None,
        user=None,
        password=None,
        passfile=None,
        database=None,
        ssl=False,
        service=None,
        servicefile=None,
        direct_tls=None,
        server_settings=None,
        target_session_attrs=None,
        krbsrvname=None,
        gsslib=None,
    )
    return addresses, parameters.user, parameters.password, parameters.database


@pytest.mark.parametrize("password", NASTY)
@pytest.mark.parametrize("user", ["writer", "team@x", "a b"])
def test_any_password_reaches_the_driver_as_it_is(user: str, password: str) -> None:
    found = read_credentials(secret(username=user, password=password), "s", database(), namespace="team")
    assert as_asyncpg_reads(found)[1:] == (user, password, "metrics")
    parts = urlsplit(found.url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert found.role == user


@given(password=st.text(min_size=1), user=st.text(min_size=1))
def test_any_text_survives_the_url(user: str, password: str) -> None:
    parts = urlsplit(read_credentials(secret(username=user, password=password), "s", database(), namespace="team").url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert parts.hostname == "timescaledb.team"


@pytest.mark.parametrize("name", ["metrics", "my db", "50%", "a@b:c", "ünï"])
def test_any_database_name_reaches_the_driver_as_it_is(name: str) -> None:
    found = read_credentials(secret(username="u", password="p"), "s", database(name=name), namespace="team")
    assert as_asyncpg_reads(found)[3] == name


def test_an_ipv6_address_is_put_in_brackets() -> None:
    found = read_credentials(
        secret(username="u", password="p"), "s", database(host="2001:db8::1", port=6432), namespace="team"
    )
    assert as_asyncpg_reads(found)[0] == [("2001:db8::1", 6432)]
    assert found.port == 6432


@pytest.mark.parametrize(
    ("tls", "query"),
    [
        ({}, {"sslmode": ["verify-full"], "sslrootcert": ["/etc/ssl/certs/ca-certificates.crt"]}),
        ({"caSecretRef": {"name": "ca"}}, {"sslmode": ["verify-full"], "sslrootcert": ["/tmp/a b.crt"]}),
        ({"mode": "Require"}, {"sslmode": ["require"]}),
        ({"mode": "Disabled"}, {"sslmode": ["disable"]}),
    ],
)
def test_the_spec_says_how_it_is_encrypted(tls: dict[str, Any], query: dict[str, list[str]]) -> None:
    ca_file = "/tmp/a b.crt" if "caSecretRef" in tls else ""
    found = read_credentials(
        secret(username="u", password="p"), "s", database(tls=tls), namespace="team", ca_file=ca_file
    )
    assert parse_qs(urlsplit(found.url).query) == query


def test_a_uri_counts_and_the_spec_fills_in_what_it_leaves_out() -> None:
    given_uri = "postgres://us%40er:p%2Fw@db:6432/metrics?sslmode=require&options=-c%20x%3D1"
    found = read_credentials(secret(uri=given_uri), "s", URI, namespace="team")
    assert (found.role, found.port, found.has_uri) == ("us@er", 6432, True)
    query = parse_qs(urlsplit(found.url).query)
    assert query["sslmode"] == ["require"]
    assert query["options"] == ["-c x=1"]
    assert as_asyncpg_reads(found)[1:] == ("us@er", "p/w", "metrics")


def test_a_uri_without_port_means_the_usual_one() -> None:
    assert read_credentials(secret(uri="postgresql://u:p@db/metrics"), "s", URI, namespace="team").port == 5432


@pytest.mark.parametrize(
    "uri",
    [
        "mysql://u:p@h/d",
        "postgresql://h/d",
        "postgresql://u:p@h:port/d",
        "postgresql://u:p@[::1/d",
        "u:p@h",
        "postgresql://u:a#b@h/d",
    ],
)
def test_a_uri_that_is_none_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(BlockedError, match="uri in Secret s is not valid") as refusal:
        read_credentials(secret(uri=uri), "s", URI, namespace="team")
    assert refusal.value.reason == "SecretInvalid"
    assert uri not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "reason", "text"),
    [
        (None, "SecretNotFound", "there is no Secret s"),
        ({}, "SecretInvalid", "has no username"),
        ({"data": None}, "SecretInvalid", "has no username"),
        (secret(username="u"), "SecretInvalid", "has no password"),
        (secret(username="u", password=""), "SecretInvalid", "has no password"),
        ({"data": {"username": "dTE", "password": "cA=="}}, "SecretInvalid", "no text"),
        ({"data": {"username": "/w==", "password": "cA=="}}, "SecretInvalid", "no text"),
    ],
)
def test_what_is_missing_or_unusable_is_named(content: dict[str, Any] | None, reason: str, text: str) -> None:
    with pytest.raises(BlockedError, match=text) as refusal:
        read_credentials(content, "s", database(), namespace="team")
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("host", "found_at"),
    [
        ("timescaledb", "timescaledb.team"),
        ("timescaledb.data", "timescaledb.data"),
        ("db.example.com", "db.example.com"),
        ("10.0.0.7", "10.0.0.7"),
        ("localhost", "localhost"),
    ],
)
def test_a_service_is_one_of_the_ingestors_namespace(host: str, found_at: str) -> None:
    """The operator is in another namespace, where a name without dots means something else."""
    given = read_credentials(secret(username="u", password="p"), "s", database(host=host), namespace="team")
    assert urlsplit(given.url).hostname == found_at
    uri = secret(uri=f"postgresql://u:p%2F@{host}:6432/metrics?sslmode=require")
    parts = urlsplit(read_credentials(uri, "s", URI, namespace="team").url)
    assert (parts.hostname, parts.port, parts.password) == (found_at, 6432, "p%2F")


def test_other_values_of_a_secret_may_be_anything() -> None:
    content = secret(username="u", password="p")
    before = read_credentials(content, "s", database(), namespace="team")
    content["data"]["keystore.jks"] = "/w=="
    assert read_credentials(content, "s", database(), namespace="team") == before


def test_a_uri_secret_needs_its_uri() -> None:
    with pytest.raises(BlockedError, match="has no uri"):
        read_credentials(secret(username="u", password="p"), "s", URI, namespace="team")


def test_the_password_is_never_shown() -> None:
    found = read_credentials(secret(username="u", password="hush"), "s", database(), namespace="team")
    assert "hush" not in repr(found)
    assert "hush" not in found.digest


def test_the_digest_changes_with_the_secret_and_with_nothing_else() -> None:
    def digest(**values: str) -> str:
        return read_credentials(secret(**values), "s", database(), namespace="team").digest

    assert digest(username="u", password="p") == digest(password="p", username="u")
    assert digest(username="u", password="p") != digest(username="u", password="q")
    assert digest(username="u", password="p") != digest(username="up", password="p")
