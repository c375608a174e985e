"""Turn a password into what PostgreSQL stores, so that the password itself never travels in a statement."""

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096
"""Source: PostgreSQL's own default, SCRAM_SHA_256_DEFAULT_ITERATIONS."""
SALT_BYTES = 16


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """Return the SCRAM-SHA-256 verifier that ``ALTER ROLE … PASSWORD`` takes in place of the password.

    Raises:
        ValueError: the password is empty or holds a NUL.

    Source: RFC 5803 and PostgreSQL's ``scram_build_secret``.
    """
    if not password or "\0" in password:
        raise ValueError("a password must not be empty or hold a NUL")
    used_salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _normalise(password), used_salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (used_salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def _normalise(password: str) -> bytes:
    """Apply SASLprep as PostgreSQL does: a text it forbids is taken as it is.

    Source: RFC 4013.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    return (password if not text or any(_forbidden(char) for char in text) or _mixed(text) else text).encode()


def _forbidden(char: str) -> bool:
    tables = (
        stringprep.in_table_a1,
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    return any(table(char) for table in tables)


def _mixed(text: str) -> bool:
    """Tell whether right-to-left text breaks the rules of RFC 3454, section 6."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return False
    ends_right_to_left = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return any(stringprep.in_table_d2(char) for char in text) or not ends_right_to_left
