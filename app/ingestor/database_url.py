"""A database's URL as users write it, for libpq, in the form that asyncpg takes. No I/O.

asyncpg knows about half of libpq's parameters and sends the others to the server as settings, which fails there with
words about a "configuration parameter". What concerns libpq alone is left out here, and what asyncpg can't do is
refused by name.

Source: https://www.postgresql.org/docs/18/libpq-connect.html, "Parameter Key Words"; asyncpg's ``connect_utils``.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

_EXAMPLE = "postgresql://user:password@host:5432/database"
INVALID = (
    f"the database URL is not valid; write {_EXAMPLE}, percent-encoded, an IPv6 address in brackets"
    "; or a variable of PostgreSQL's clients (PG…) in the environment is not"
)

_SCHEMES = frozenset({"postgresql", "postgres"})
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[^:\[\]@]+)(:\d{0,5})?")

_OURS = frozenset(
    {
        *("application_name", "fallback_application_name", "client_encoding", "connect_timeout", "tcp_user_timeout"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("load_balance_hosts", "max_protocol_version", "min_protocol_version", "sslcompression", "sslsni"),
    }
)
"""Left out: every connection has names, limits and an encoding of its own, and the others promise nothing."""

_OFF = frozenset({"", "0", "disable", "false", "no", "off"})
_NOTHING = frozenset({""})
_HARMLESS = {
    "channel_binding": _OFF | {"prefer"},
    "gssdelegation": _OFF,
    "gssencmode": _OFF | {"allow", "prefer"},
    "hostaddr": _NOTHING,
    "oauth_client_id": _NOTHING,
    "oauth_client_secret": _NOTHING,
    "oauth_issuer": _NOTHING,
    "oauth_scope": _NOTHING,
    "replication": _OFF,
    "require_auth": _NOTHING,
    "requirepeer": _NOTHING,
    "requiressl": _OFF,
    "scram_client_key": _NOTHING,
    "scram_server_key": _NOTHING,
    "servicefile": _NOTHING,
    "sslcertmode": frozenset({"", "allow"}),
    "sslcrldir": _NOTHING,
    "sslkeylogfile": _NOTHING,
}
"""Parameters that asyncpg can't honour, and the values with which leaving them out changes nothing."""

_INSTEAD = {"hostaddr": ", and write the address as the host", "requiressl": ", and write sslmode=require"}
_LEFT_OUT = _OURS | frozenset(_HARMLESS)


class DatabaseUrlError(ValueError):
    """A URL that can't be used; the text says why and repeats nothing of it but names of parameters."""


def clean_database_url(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return ``url`` for asyncpg: without what concerns libpq alone.

    ``environment`` may name the host (PGHOST, PGSERVICE), as for libpq.

    Raises:
        DatabaseUrlError: it is empty, malformed, names no host, or asks for what can't be done.
    """
    url = url.strip()
    if not url:
        raise DatabaseUrlError(f"the database URL is empty; write {_EXAMPLE}")
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True)) if parts.query else {}
    except ValueError:
        raise DatabaseUrlError(INVALID) from None
    if parts.scheme not in _SCHEMES or _is_cut_oddly(parts):
        raise DatabaseUrlError(INVALID)
    _check_hosts(parts, query, environment)
    _check_parameters(query)
    before, _, after = url.partition("?")
    kept = [part for part in after.split("&") if unquote_plus(part.partition("=")[0]) not in _LEFT_OUT]
    return f"{before}?{'&'.join(kept)}" if any(kept) else before


def hosts_of(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return host and port of a clean URL as it writes them, and what the environment says if it names none."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    port = f":{query['port']}" if "port" in query else ""
    host = parts.netloc.rpartition("@")[2]
    return host or query.get("host", "") + port or environment.get("PGHOST", "") or "localhost"


def _is_cut_oddly(parts: SplitResult) -> bool:
    """Return True if a slash, question mark, number sign or at sign in the password is likely not encoded."""
    user, at, _ = parts.netloc.rpartition("@")
    return "@" in user or "@" in parts.path or bool(parts.fragment) or (not at and "@" in parts.query)


def _check_hosts(parts: SplitResult, query: Mapping[str, str], environment: Mapping[str, str]) -> None:
    hosts = parts.netloc.rpartition("@")[2] or query.get("host", "")
    if any(not host.startswith("/") and not _HOST.fullmatch(host) for host in hosts.split(",") if hosts):
        raise DatabaseUrlError(INVALID)
    if not hosts and not (query.get("service") or environment.get("PGHOST") or environment.get("PGSERVICE")):
        raise DatabaseUrlError(f"the database URL names no host; write {_EXAMPLE}, or ?host=/directory for a socket")


def _check_parameters(query: Mapping[str, str]) -> None:
    for name, value in query.items():
        if value not in _HARMLESS.get(name, {value}):
            text = f"{name} in the database URL is more than this client can do; leave it out"
            raise DatabaseUrlError(f"{text}{_INSTEAD.get(name, '')}")
    if query.get("sslmode", "prefer") not in _SSL_MODES:
        raise DatabaseUrlError(f"sslmode in the database URL must be one of {', '.join(_SSL_MODES)}")
