"""Wait until a database server takes connections."""

import asyncio
from collections.abc import Callable

import asyncpg

CONNECT_TIMEOUT_S = 5.0
POLL_S = 0.05
SILENCE_TIMEOUT_S = 30.0
"""Longest wait for a server that does not answer at all."""
RECOVERY_TIMEOUT_S = 300.0
"""Longest wait for one that answers that it is still replaying what a crash left."""


async def wait_until_ready(url: str, is_alive: Callable[[], bool]) -> bool:
    """Return True once ``url`` takes a connection, False if the server ended or a deadline passed.

    Raises:
        asyncpg.PostgresError: the server refuses this login, so waiting does not help.
    """
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    limit_s = SILENCE_TIMEOUT_S
    while is_alive() and loop.time() - started_at < limit_s:
        try:
            connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
        except asyncpg.CannotConnectNowError:
            limit_s = RECOVERY_TIMEOUT_S
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
            pass  # nothing listens yet, or a container's proxy does before the server
        else:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
            return True
        await asyncio.sleep(POLL_S)
    return False
