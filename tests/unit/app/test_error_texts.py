"""No text begins or ends with a colon, or has a gap, because an error came without words."""

import ssl

import asyncpg
import pytest

from ingestor.client.sender import Outcome, Verdict
from ingestor.errors import InvalidRequestError, Violation, joined, words_of
from ingestor.load.totals import Totals
from ingestor.schema.connect import explain
from ingestor.schema.tls import explain_files, explain_handshake
from ingestor.storage.connection import describe

URL = "postgresql://db/metrics"

SILENT = [
    TimeoutError(),
    ConnectionResetError(),
    FileNotFoundError(2, ""),
    OSError(),
    ssl.SSLError(1, ""),
    ssl.SSLCertVerificationError(1, ""),
    asyncpg.InterfaceError(""),
    asyncpg.InternalClientError(""),
    asyncpg.PostgresError(""),
    asyncpg.InvalidPasswordError(""),
    asyncpg.QueryCanceledError("\n"),
    asyncpg.InsufficientPrivilegeError(" "),
]


def _check(text: str) -> None:
    assert text == text.strip()
    assert not text.startswith(":")
    assert not text.endswith(":")
    assert ": ;" not in text
    assert ": (" not in text
    assert ":  " not in text


@pytest.mark.parametrize("error", SILENT, ids=lambda error: type(error).__name__)
def test_an_error_without_words_is_named_by_its_class(error: Exception) -> None:
    assert words_of(error)
    for text in (words_of(error), describe(error), str(explain(error, "db/metrics"))):
        _check(text)
    for explained in (explain_handshake(error), explain_files(error, URL)):
        _check(explained or "none")


def test_an_error_keeps_its_words_in_one_line() -> None:
    assert words_of(ValueError("a\n  b")) == "a b"
    assert describe(ValueError("wrong")) == "ValueError: wrong"
    assert describe(asyncpg.QueryCanceledError("late")) == "QueryCanceledError 57014: late"


def test_colons_stand_between_what_is_there() -> None:
    assert [joined("a", "b"), joined("", "b"), joined("a", ""), joined()] == ["a: b", "b", "a", ""]


@pytest.mark.parametrize("field", ["", "points[0].value"])
def test_a_refusal_of_the_whole_request_begins_with_its_words(field: str) -> None:
    _check(str(InvalidRequestError([Violation(field, "malformed", "the request is malformed")])))


@pytest.mark.parametrize("message", ["", "no room"])
def test_the_last_trouble_of_a_load_run_is_whole(message: str) -> None:
    totals = Totals()
    totals.retried("UNAVAILABLE", message)
    _check(totals.last_trouble)
    totals.settle(1, Outcome(Verdict.REFUSED, status="INTERNAL", message=message), 0.1)
    _check(totals.last_trouble)
