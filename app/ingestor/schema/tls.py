"""What asyncpg and OpenSSL say about TLS to the database, in words that say what to change.

Used wherever a connection is opened. asyncpg reads ``sslmode``, ``sslrootcert``, ``sslcert`` and ``sslkey`` from the
URL, else ``PGSSLMODE``, ``PGSSLROOTCERT``, ``PGSSLCERT`` and ``PGSSLKEY``; it knows no ``sslrootcert=system``.
"""

import errno
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ingestor.errors import words_of

SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
"""The file of the system's certificate authorities in Debian and its images; other systems have other paths."""

_WRONG_NAME = frozenset({62, 64})
_OUT_OF_DATE = frozenset({9, 10})
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""Source: OpenSSL, x509_vfy.h, X509_V_ERR_*."""

_NO_HANDSHAKE = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
"""A connection that went away rather than a disagreement: the same may work later."""

_FILE_ERRORS = frozenset({errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR})


def explain_handshake(error: BaseException) -> str | None:
    """Return what is wrong where client and server do not agree on TLS, None where TLS is not the trouble."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message, code = getattr(error, "verify_message", "") or words_of(error), getattr(error, "verify_code", 0)
        return f"the server's certificate is not accepted: {message}; {_advice(code)}"
    if isinstance(error, ssl.SSLError) and not isinstance(error, _NO_HANDSHAKE):
        return f"TLS fails: {words_of(error)}; check the server's certificate and sslrootcert, sslcert, sslkey"
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return "the server offers no TLS; set ssl = on there, or ask for sslmode=disable if the network is trusted"
    return None


def explain_files(error: BaseException, url: str) -> str | None:
    """Return what is wrong with the files that TLS needs, None where the trouble is another.

    For errors of opening a connection. The operating system's error names no file, and one about a socket in the
    file system looks the same; hence ``url``, of which nothing is repeated.
    """
    if isinstance(error, ValueError) and "root certificate file" in str(error):
        return f"no CA certificate to check the server with; give sslrootcert=FILE (the system's CAs: {SYSTEM_CAS})"
    if not isinstance(error, OSError) or error.errno not in _FILE_ERRORS or _uses_socket_file(url):
        return None
    if home := _closed_home():
        text = f"TLS looks for .postgresql in {home}, which this process may not read"
        return f"{text}; set HOME to a folder that it may, or sslmode=disable if the network is trusted"
    text = f"sslrootcert, sslcert or sslkey cannot be read: {error.strerror or words_of(error)}"
    return f"{text}; give paths of files that this process may read (the system's CAs: {SYSTEM_CAS})"


def _closed_home() -> Path | None:
    """Return the home folder if this process may not look into it; asyncpg does, for files that are rarely there."""
    try:
        home = Path.home()
        (home / ".postgresql" / "postgresql.key").stat()
    except PermissionError:
        return home
    except (OSError, RuntimeError, KeyError):
        pass
    return None


def _advice(code: int) -> str:
    if code in _WRONG_NAME:
        return "connect by a name in the certificate, or make it one for this name"
    if code in _OUT_OF_DATE:
        return "renew it, and compare both clocks"
    if code in _UNKNOWN_ISSUER:
        return "give the certificate of the CA that signed it as sslrootcert"
    return "check it, and sslrootcert"


def _uses_socket_file(url: str) -> bool:
    try:
        parts = urlsplit(url)
        hosts = parse_qs(parts.query).get("host", []) or [parts.netloc.rpartition("@")[2]]
    except ValueError:
        return True
    return any(not host or host.startswith(("/", "%2F", "%2f")) for host in hosts)
