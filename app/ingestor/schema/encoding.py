"""The database's encoding: only UTF8 holds every text that is sent. Pure."""

ENCODING = "UTF8"


def encoding_trouble(database: str, encoding: str) -> str | None:
    """Return what is wrong with the encoding of a database, in words that say what to do; None if nothing is."""
    if encoding == ENCODING:
        return None
    text = f"database {database} has encoding {encoding}, which can't hold every text that is sent"
    return f"{text}; make one with ENCODING '{ENCODING}'"
