"""Errors of the database in words, and no secrets in them."""

import socket

import asyncpg
import pytest

from ingestor.errors import PermanentError, TransientError
from ingestor.schema.connect import explain, place_of
from ingestor.schema.preflight import inspect


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:secret@db:5432/metrics", "db:5432/metrics"),
        ("postgresql://me:secret@db/metrics?sslpassword=secret", "db/metrics"),
        ("postgresql://me:se@cret@db/metrics", "db/metrics"),
        ("postgresql://me:1/secret@db/metrics", "the database"),
        ("postgresql:///metrics", "localhost/metrics"),
        ("postgresql://me:secret@[db/metrics", "the database"),
    ],
)
def test_a_place_never_shows_the_password(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (asyncpg.InvalidPasswordError("wrong"), "database_refused", PermanentError),
        (asyncpg.InvalidCatalogNameError("no"), "database_refused", PermanentError),
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


@pytest.mark.parametrize("url", ["", "nonsense", "postgresql://me:se/cret@db:x/y", "mysql://me:cret@db/y"])
async def test_a_url_that_cannot_be_read_is_explained_without_repeating_it(url: str) -> None:
    (finding,) = await inspect(url, "analytics")
    assert (finding.level, finding.topic) == ("problem", "connection")
    assert "postgresql://user:password@host" in finding.sentence
    assert "cret" not in finding.sentence
