"""Choose where this machine's TimescaleDB comes from, and say so.

What is installed already comes first, then a container engine, then Debian's packages in the cache folder: each step
takes more than the one before. A server that is running is never used or touched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ingestor.errors import ConfigurationError
from ingestor.local.account import Account, current_account
from ingestor.local.container import ContainerEngine, find_engine
from ingestor.local.debian import DebianPackages
from ingestor.local.installed import Installation, NotHereError, find_installed, usual_bin_dirs
from ingestor.local.processes import CommandRunner

Say = Callable[[str], None]
Source = Callable[[], Awaitable[Installation | ContainerEngine]]


async def find_or_install(cache: Path, account: Account, say: Say) -> Installation | ContainerEngine:
    """Return the first TimescaleDB that this machine has or can be given.

    Raises:
        ConfigurationError: there is none; the text says why for each way, and what to install.
    """
    return await first_of(sources(cache, account, say))


def sources(cache: Path, account: Account, say: Say) -> list[Source]:
    """Return the ways to a TimescaleDB, in the order in which they are tried."""
    installed, debian = native_sources(cache, account, say)
    return [installed, lambda: find_engine(CommandRunner(current_account())), debian]


def native_sources(cache: Path, account: Account, say: Say) -> list[Source]:
    """Return the ways to programs that run on this machine itself and may be killed."""

    async def installed() -> Installation:
        return await find_installed(await asyncio.to_thread(usual_bin_dirs), CommandRunner(account))

    return [installed, DebianPackages(cache, account, say).find]


async def first_of(ways: Sequence[Source]) -> Installation | ContainerEngine:
    """Return what the first of ``ways`` finds that finds anything.

    Raises:
        ConfigurationError: none does.
    """
    reasons = []
    for way in ways:
        try:
            return await way()
        except NotHereError as reason:
            reasons.append(f"- {reason}")
    raise ConfigurationError(
        "no TimescaleDB for this machine: install PostgreSQL 14 or later with the timescaledb extension, or start "
        "Docker or Podman, or set INGESTOR_DATABASE_URL to a database you have.\n" + "\n".join(reasons)
    )
