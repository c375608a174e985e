"""Errors of the database in words, and no secrets in them."""

import socket
import ssl

import asyncpg
import pytest

from ingestor.errors import PermanentError, TransientError
from ingestor.schema.connect import explain, place_of, says_no_user
from ingestor.storage.rehearsal import rehearse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:secret@db:5432/metrics", "db:5432/metrics"),
        ("postgresql://me:secret@db/metrics?sslpassword=secret", "db/metrics"),
        ("postgresql://me:se@cret@db/metrics", "the database"),
        ("postgresql://me:secret@[::1]:5433/metrics", "[::1]:5433/metrics"),
        ("postgresql://me:secret@/metrics?host=/run/postgresql&port=5433", "/run/postgresql:5433/metrics"),
        ("postgresql://me:1/secret@db/metrics", "the database"),
        ("postgresql:///metrics", "the database"),
        ("postgresql://me:secret@[db/metrics", "the database"),
    ],
)
def test_a_place_never_shows_the_password(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (asyncpg.InvalidPasswordError("wrong"), "authentication_failed", PermanentError),
        (
            asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"),
            "authentication_failed",
            PermanentError,
        ),
        (asyncpg.InvalidCatalogNameError("no"), "database_missing", PermanentError),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]"), "tls_failed", PermanentError),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]"), "tls_failed", PermanentError),
        (ConnectionError('PostgreSQL server at "db:5432" rejected SSL upgrade'), "tls_failed", PermanentError),
        (ssl.SSLEOFError(8, "EOF occurred"), "database_unavailable", TransientError),
        (asyncpg.InsufficientPrivilegeError("no"), "rights_missing", PermanentError),
        (asyncpg.LockNotAvailableError("no"), "lock_busy", TransientError),
        (asyncpg.DeadlockDetectedError("no"), "lock_busy", TransientError),
        (asyncpg.QueryCanceledError("statement timeout"), "step_timeout", TransientError),
        (asyncpg.CannotConnectNowError("starting"), "database_unavailable", TransientError),
        (asyncpg.AdminShutdownError("bye"), "database_unavailable", TransientError),
        (asyncpg.TooManyConnectionsError("full"), "database_unavailable", TransientError),
        (asyncpg.ConnectionDoesNotExistError("gone"), "database_unavailable", TransientError),
        (asyncpg.InterfaceError("closed"), "database_unavailable", TransientError),
        (ConnectionRefusedError(111, "refused"), "database_unavailable", TransientError),
        (socket.gaierror(-2, "unknown"), "database_unavailable", TransientError),
        (TimeoutError(), "database_unavailable", TransientError),
        (asyncpg.DuplicateTableError("exists"), "step_failed", PermanentError),
    ],
)
def test_every_error_has_its_kind_and_its_reason(
    error: Exception, reason: str, kind: type[PermanentError | TransientError]
) -> None:
    explained = explain(error, "db/metrics")
    assert isinstance(explained, kind)
    assert explained.reason == reason
    assert str(explained).startswith("db/metrics")


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (KeyError("getpwuid(): uid not found: 65532"), True),  # Python 3.11 and 3.12
        (OSError("No username set in the environment"), True),  # 3.13 and later
        (ConnectionRefusedError(111, "refused"), False),
    ],
)
def test_a_missing_user_is_told_from_a_missing_server(error: Exception, missing: bool) -> None:
    assert says_no_user(error) is missing


@pytest.mark.parametrize("url", ["", "nonsense", "postgresql://me:se/cret@db:x/y", "mysql://me:cret@db/y"])
async def test_a_url_that_cannot_be_read_is_explained_without_repeating_it(url: str) -> None:
    (finding,) = await rehearse(url, "analytics")
    assert (finding.level, finding.topic) == ("problem", "connection")
    assert "postgresql://user:password@host" in finding.sentence
    assert "cret" not in finding.sentence
