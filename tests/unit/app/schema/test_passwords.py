"""Verifiers in place of passwords."""

import base64

import pytest

from ingestor.schema.bootstrap import bootstrap_sql
from ingestor.schema.passwords import scram_verifier
from ingestor.schema.roles import Roles


def test_the_verifier_is_the_one_of_the_standard() -> None:
    """Source: RFC 7677, section 3: the stored and server keys follow from its password, salt and iterations."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram_verifier("pencil", salt)
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_two_verifiers_of_one_password_differ() -> None:
    assert scram_verifier("pencil") != scram_verifier("pencil")


@pytest.mark.parametrize(("written", "meant"), [("I\u00adX", "IX"), ("\u2168", "IX"), ("a\u00a0b", "a b")])
def test_equivalent_texts_are_one_password(written: str, meant: str) -> None:
    """Source: RFC 4013, section 3."""
    assert scram_verifier(written, b"salt") == scram_verifier(meant, b"salt")


@pytest.mark.parametrize("password", ["", "a\0b"])
def test_a_password_that_the_database_cannot_have_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        scram_verifier(password)


def test_the_printed_sql_holds_no_password_and_says_which_are_missing() -> None:
    sql = bootstrap_sql("metrics", Roles.for_schema("analytics", "owner-secret", "writer-secret"))
    assert "secret" not in sql
    assert sql.count("SCRAM-SHA-256") == 2
    assert r"\password analytics_reader" in sql
    assert r"\password analytics_owner" not in sql


def test_a_database_name_cannot_break_out_of_the_printed_sql() -> None:
    sql = bootstrap_sql('a"; DROP ROLE x; --', Roles.for_schema("analytics"))
    assert 'DATABASE "a""; DROP ROLE x; --"' in sql
    assert '"a";' not in sql
