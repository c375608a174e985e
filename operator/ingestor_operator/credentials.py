"""From a Secret to a connection URL, role names and a hash. Pure; nothing here is ever logged."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from ingestor_operator.errors import BlockedError
from ingestor_operator.manifests.environment import PUBLIC_AUTHORITIES, SSL_MODES
from ingestor_operator.resource.database import Database

DEFAULT_PORT = 5432

_ITERATIONS = 20_000
"""A few milliseconds; the result is remembered while the Secret stays the same."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to connect as one role; ``digest`` changes when the Secret does."""

    url: str = field(repr=False)
    role: str
    port: int
    digest: str
    has_uri: bool


def read_credentials(
    secret: Mapping[str, Any] | None, name: str, database: Database, *, namespace: str, ca_file: str = ""
) -> Credentials:
    """Return what a Secret says, for the database of the spec.

    A host of one label is a Service in ``namespace``, the Ingestor's: pods there find it as it is, the operator does
    not. ``ca_file`` holds the authorities to trust, empty for the public ones.

    Raises:
        BlockedError: the Secret, or a key in it, is missing or unusable.
    """
    wanted = "uri" if database.host is None else "username and password"
    if secret is None:
        raise BlockedError("SecretNotFound", f"there is no Secret {name}; create it with {wanted}")
    keys = ["uri"] if database.host is None else ["username", "password"]
    values = [_value(secret.get("data") or {}, key, name) for key in keys]
    digest = _digest("\0".join(values).encode(), str((secret.get("metadata") or {}).get("uid", "")).encode())
    if database.host is None:
        return _from_uri(values[0], name, database, namespace, ca_file, digest)
    user, password = values
    host = _qualify(database.host, namespace)
    address = f"{host}:{database.port}/{quote(database.name or '', safe='')}"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"postgresql://{login}@{address}?{urlencode(_tls(database, ca_file))}"
    return Credentials(url, user, database.port, digest, has_uri=False)


def _qualify(host: str, namespace: str) -> str:
    """Return a host as it is found from any namespace, an IPv6 address in brackets."""
    if ":" in host:
        return f"[{host}]"
    return host if "." in host or host == "localhost" else f"{host}.{namespace}"


@lru_cache(maxsize=1024)
def _digest(content: bytes, salt: bytes) -> str:
    """Return a hash of a Secret that may stand in a pod's annotations: slow and salted against guessing."""
    return hashlib.pbkdf2_hmac("sha256", content, salt, _ITERATIONS, dklen=8).hex()


def _from_uri(uri: str, name: str, database: Database, namespace: str, ca_file: str, digest: str) -> Credentials:
    try:
        parts = urlsplit(uri)
        user, port = unquote(parts.username or ""), parts.port or DEFAULT_PORT
    except ValueError:
        user, port, parts = "", DEFAULT_PORT, urlsplit("")
    if parts.scheme not in ("postgresql", "postgres") or not user:
        text = f"uri in Secret {name} is not valid: write postgresql://user:password@host:5432/database"
        raise BlockedError("SecretInvalid", f"{text}, percent-encoded")
    # What the URI says of TLS counts, as it does in libpq; what it leaves out comes from the spec.
    missing = {key: value for key, value in _tls(database, ca_file).items() if f"{key}=" not in parts.query}
    query = "&".join(part for part in (parts.query, urlencode(missing)) if part)
    login, _, _ = parts.netloc.rpartition("@")
    place = f"{login}@{_qualify(parts.hostname or '', namespace)}:{port}" if parts.hostname else parts.netloc
    return Credentials(parts._replace(netloc=place, query=query).geturl(), user, port, digest, has_uri=True)


def _tls(database: Database, ca_file: str) -> dict[str, str]:
    mode = SSL_MODES[database.tls.mode]
    if database.tls.mode != "VerifyFull":
        return {"sslmode": mode}
    return {"sslmode": mode, "sslrootcert": ca_file or PUBLIC_AUTHORITIES}


def _value(data: Mapping[str, str], key: str, name: str) -> str:
    """Return one value of a Secret; others in it may be anything."""
    try:
        value = base64.b64decode(data.get(key, "")).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BlockedError("SecretInvalid", f"{key} in Secret {name} is no text; correct it") from None
    if not value:
        raise BlockedError("SecretInvalid", f"Secret {name} has no {key}; add it")
    return value
