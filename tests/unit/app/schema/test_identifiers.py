"""Names and texts on their way into SQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.schema.identifiers import check_role_name, check_schema_name, quote_identifier, quote_literal, render


@pytest.mark.parametrize("name", ["analytics", "_a", "select", "a" * 40, "a1_"])
def test_a_plain_schema_name_is_taken(name: str) -> None:
    assert check_schema_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "a" * 41, "a-b", 'a"b', "a b", "a\n", "ä", "pg_x", "information_schema", "_timescaledb_x"]
)
def test_any_other_schema_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="schema name"):
        check_schema_name(name)


@pytest.mark.parametrize("name", ["", "1a", "a" * 64, 'a"b', "a'b", "a$b", "a b", "a\n"])
def test_a_role_name_that_could_break_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="role name"):
        check_role_name(name)


@given(st.text().filter(lambda text: "\0" not in text))
def test_a_literal_reads_back_as_the_text_whatever_is_in_it(text: str) -> None:
    literal = quote_literal(text)
    body = literal.removeprefix("E")[1:-1].replace("''", "'")
    assert (body.replace("\\\\", "\\") if literal.startswith("E") else body) == text
    assert literal.startswith("E") == ("\\" in text)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_an_identifier_reads_back_as_the_name(name: str) -> None:
    quoted = quote_identifier(name)
    assert quoted[1:-1].replace('""', '"') == name
    assert quoted[0] == quoted[-1] == '"'


@pytest.mark.parametrize("quote", [quote_identifier, quote_literal])
def test_a_nul_is_refused(quote: object) -> None:
    assert callable(quote)
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


def test_a_template_gets_the_schema_as_name_and_as_text() -> None:
    assert (
        render("""SELECT :'schema', t FROM :"schema".t""", "analytics")
        == """SELECT 'analytics', t FROM "analytics".t"""
    )


def test_a_template_never_gets_a_name_that_was_not_checked() -> None:
    with pytest.raises(ValueError, match="schema name"):
        render('SELECT FROM :"schema".t', 'x"; DROP TABLE t; --')
