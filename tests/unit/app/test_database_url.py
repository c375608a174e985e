"""Database URLs as libpq takes them: what asyncpg can't take is left out or refused, and no secret is repeated."""

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args as parse_as_asyncpg  # type: ignore[attr-defined]  # not in its stubs

from ingestor.config import load_local_settings, load_settings
from ingestor.database_url import DatabaseUrlError, clean_database_url
from ingestor.errors import ConfigurationError

URL = "postgresql://me:s%40cret@db:5432/metrics"

_LIBPQ = """
host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout client_encoding options
application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count
tcp_user_timeout replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey sslkeylogfile
sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version
ssl_max_protocol_version min_protocol_version max_protocol_version krbsrvname gsslib gssdelegation scram_client_key
scram_server_key service servicefile target_session_attrs load_balance_hosts oauth_issuer oauth_client_id
oauth_client_secret oauth_scope
"""
LIBPQ = _LIBPQ.split()
"""Source: https://www.postgresql.org/docs/18/libpq-connect.html, "Parameter Key Words"."""

VALUES = {
    "gsslib": "gssapi",
    "host": "db",
    "port": "5432",
    "sslmode": "disable",
    "sslnegotiation": "postgres",
    "target_session_attrs": "any",
    "options": "-c geqo=off",
}
"""Values that asyncpg takes without looking at files."""


def _settings(url: str) -> dict[str, str]:
    """Return what asyncpg would send to the server as settings."""
    nothing = dict.fromkeys(
        ("host", "port", "user", "password", "passfile", "database", "ssl", "service", "servicefile", "direct_tls")
    )
    rest = dict.fromkeys(("server_settings", "target_session_attrs", "krbsrvname", "gsslib"))
    _, parameters = parse_as_asyncpg(dsn=url, **nothing, **rest)
    return parameters.server_settings or {}


@pytest.mark.parametrize("name", LIBPQ)
def test_no_parameter_of_libpq_reaches_the_server_as_a_setting(name: str) -> None:
    value = VALUES.get(name, "1")
    try:
        clean = clean_database_url(f"{URL}?sslmode=disable&{name}={value}")
    except DatabaseUrlError as error:
        assert name in str(error)
        return
    assert set(_settings(clean)) <= {"options"}


@pytest.mark.parametrize(
    "parameters",
    [
        "connect_timeout=10",
        "channel_binding=prefer&gssencmode=disable",
        "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=1",
        "application_name=mine&client_encoding=LATIN1",
        "connect_timeout=",
    ],
)
def test_what_concerns_libpq_alone_is_left_out(parameters: str) -> None:
    assert clean_database_url(f"{URL}?{parameters}") == URL
    assert clean_database_url(f"{URL}?{parameters}&sslmode=disable") == f"{URL}?sslmode=disable"
    assert clean_database_url(f"{URL}?sslmode=disable&{parameters}") == f"{URL}?sslmode=disable"


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("require_auth=scram-sha-256", "require_auth"),
        ("hostaddr=10.0.0.1", "write the address as the host"),
        ("sslmode=on", "sslmode in the database URL must be one of disable"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(parameter: str, told: str) -> None:
    with pytest.raises(DatabaseUrlError, match=told) as refused:
        clean_database_url(f"{URL}?{parameter}")
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgres://me@db",
        "postgresql://me@[::1]:5432/metrics",
        "postgresql://me@[fe80::1%25eth0]/metrics",
        "postgresql://me@a:1,b:2,[::1]/metrics?target_session_attrs=read-write",
        "postgresql://me@/metrics?host=/run/postgresql",
        "postgresql:///metrics?host=db&user=me",
        "postgresql://me@%2Frun%2Fpostgresql/metrics",
        "postgresql://db/metrics?service=mine",
        f"{URL}?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt",
        f"{URL}?options=-c%20geqo%3Doff",
    ],
)
def test_a_url_without_such_parameters_stays_as_it_is(url: str) -> None:
    assert clean_database_url(url, {}) == url


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t "])
def test_an_empty_url_is_refused(blank: str) -> None:
    with pytest.raises(DatabaseUrlError, match="the database URL is empty; write postgresql://"):
        clean_database_url(blank)


@pytest.mark.parametrize("url", [f"{URL}\n", f" {URL}\t"])
def test_white_space_around_it_is_none_of_its(url: str) -> None:
    assert clean_database_url(url) == URL


@pytest.mark.parametrize("url", ["postgresql:///metrics", "postgresql://", "postgresql://me:secret@/metrics?host="])
def test_a_url_without_a_host_is_refused_unless_the_environment_names_it(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="the database URL names no host") as refused:
        clean_database_url(url, {"PGHOST": ""})
    assert "secret" not in str(refused.value)
    assert clean_database_url(url, {"PGHOST": "db"})
    assert clean_database_url(url, {"PGSERVICE": "mine"})


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://me:secret@db/metrics",
        "postgresql://me:se/cret@db/metrics",
        "postgresql://me:se?cret@db/metrics",
        "postgresql://me:se#cret@db/metrics",
        "postgresql://me:se@cret@db/metrics",
        "postgresql://me:secret@::1/metrics",
        "postgresql://me:secret@[db/metrics",
        "postgresql://me:secret@db:five/metrics",
        "postgresql://me:secret@:5432/metrics",
        "postgresql://me:secret@a,,b/metrics",
        "postgresql://me:secret@/metrics?host=::1",
        "postgresql://me:secret@db/metrics?sslmode",
    ],
)
def test_a_malformed_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="the database URL is not valid; write postgresql://") as refused:
        clean_database_url(url)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("blank", ["", " "])
def test_serve_refuses_an_empty_url_and_the_commands_for_this_machine_take_none(
    blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGESTOR_DATABASE_URL", blank)
    with pytest.raises(ConfigurationError, match=r"wrong settings: INGESTOR_DATABASE_URL: .*is empty"):
        load_settings()
    assert load_local_settings().database_url is None


def test_every_command_names_a_wrong_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTOR_DATABASE_URL", "postgresql://me:secret@/metrics")
    for load in (load_settings, load_local_settings):
        with pytest.raises(ConfigurationError, match=r"INGESTOR_DATABASE_URL: .*names no host") as refused:
            load()
        assert "secret" not in str(refused.value)


def test_settings_hold_the_clean_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTOR_DATABASE_URL", f"{URL}?connect_timeout=10\n")
    assert load_settings().database_url.get_secret_value() == URL
    local = load_local_settings().database_url
    assert local is not None
    assert local.get_secret_value() == URL
