"""A database on this machine that is ready to be written: server, roles, schema."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console

from ingestor.config import load_local_settings
from ingestor.local import default_cache, running_database
from ingestor.schema.apply import apply_schema
from ingestor.schema.bootstrap import Roles, bootstrap
from ingestor.schema.spec import SchemaSpec


@dataclass(frozen=True, slots=True)
class LocalSite:
    """Where to write and where to read; the URLs hold passwords."""

    admin_url: str = field(repr=False)
    writer_url: str = field(repr=False)
    reader_url: str = field(repr=False)


@asynccontextmanager
async def local_site(instance: str, console: Console, spec: SchemaSpec) -> AsyncIterator[LocalSite]:
    """Run a TimescaleDB and bring the schema that ``spec`` asks for up to date.

    The user of a given INGESTOR_DATABASE_URL does everything itself: roles that exist there keep their passwords.
    """
    settings = load_local_settings()
    given_url = settings.database_url.get_secret_value() if settings.database_url else None
    cache = default_cache(settings.xdg_cache_home)
    async with running_database(cache, instance=instance, given_url=given_url, say=console.print) as database:
        if given_url:
            await bootstrap(given_url, Roles.for_schema(spec.name))
            site = LocalSite(given_url, given_url, given_url)
        else:
            site = await _bootstrap_own(database.admin_url, spec)
        for step in (await apply_schema(site.admin_url, spec)).steps:
            console.print(f"Schema: {step.sentence}", highlight=False)
        yield site


async def _bootstrap_own(admin_url: str, spec: SchemaSpec) -> LocalSite:
    """Give the roles of a server of ours passwords that stay the same from run to run."""
    secret = (urlsplit(admin_url).password or "").encode()
    names = Roles.for_schema(spec.name)
    passwords = [
        hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()[:32]
        for name in (names.owner, names.writer, names.reader)
    ]
    await bootstrap(admin_url, Roles.for_schema(spec.name, *passwords))
    writer_url = _as_user(admin_url, names.writer, passwords[1])
    # People type this one in a shell that may ask for TLS, which the server does not have.
    reader_url = f"{_as_user(admin_url, names.reader, passwords[2])}?sslmode=disable"
    return LocalSite(admin_url, writer_url, reader_url)


def _as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
