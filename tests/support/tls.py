"""Certificates made by openssl for a day, and a private database server that takes nothing but TLS."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ingestor.local.account import server_account
from support.database import PrivateServer

_TLS_ONLY = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Certificates:
    """PEM files: the CA that signed the server's certificate, a CA that did not, the certificate and its key."""

    authority: Path
    stranger: Path
    server: Path
    key: Path


async def make_certificates(directory: Path, host: str = "localhost") -> Certificates:
    """Make both CAs and a certificate for ``host``."""
    authority = await _request(directory / "authority", "/CN=authority")
    stranger = await _request(directory / "stranger", "/CN=stranger")
    signed = ("-CA", str(authority), "-CAkey", str(authority.with_suffix(".key")))
    extensions = ("-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE")
    server = await _request(directory / "server", "/CN=database", *signed, *extensions)
    return Certificates(authority, stranger, server, server.with_suffix(".key"))


async def require_tls(private_server: PrivateServer, certificates: Certificates) -> None:
    """Start ``private_server`` anew with this certificate, and without any other way in."""
    server, account = private_server.server, server_account()
    await server.stop()
    account.write(server.data_dir / "server.crt", certificates.server.read_text())
    account.write(server.data_dir / "server.key", certificates.key.read_text())
    account.write(server.data_dir / "pg_hba.conf", _TLS_ONLY)
    with (server.data_dir / "postgresql.conf").open("a") as settings:
        settings.write("ssl = on\n")
    await server.start()


def with_options(url: str, *, host: str = "localhost", login: bool = True, **options: object) -> str:
    """Return ``url`` with another host name and with options, and without user and password unless ``login``."""
    parts = urlsplit(url)
    place = f"{host}:{parts.port}"
    if login:
        place = f"{parts.netloc.rpartition('@')[0]}@{place}"
    return parts._replace(netloc=place, query=urlencode(options)).geturl()


async def _request(path: Path, subject: str, *options: str) -> Path:
    """Make ``path``.crt and ``path``.key, signed by itself unless the options name a CA."""
    certificate, key = path.with_suffix(".crt"), path.with_suffix(".key")
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
    files = ("-keyout", str(key), "-out", str(certificate))
    process = await asyncio.create_subprocess_exec(
        *command, "-days", "1", "-subj", subject, *options, *files,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()
    return certificate
