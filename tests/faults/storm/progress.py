"""How far a storm is: faults strike by it, and clients do not run ahead of faults that are still to come."""

import asyncio

_POLL_S = 0.01
_PATIENCE_S = 1.0
"""Longest wait of a client for a fault: some faults need traffic to strike."""


class Progress:
    """Counts acked points; ``limit`` is where clients wait a little for the next fault.

    ``pace`` is how many times longer than usual whoever sends at a steady pace waits: a slow machine gets less.
    """

    def __init__(self) -> None:
        self.acked = 0
        self.limit = 0
        self.faults_over = False
        self.pace = 1.0
        self._started_at = asyncio.get_running_loop().time()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return asyncio.get_running_loop().time() - self._started_at

    async def until(self, acked: int, elapsed_s: float) -> None:
        """Wait until so many points are acked and so much time has passed."""
        while self.acked < acked or self.elapsed_s < elapsed_s:
            await asyncio.sleep(_POLL_S)

    async def may_send(self) -> None:
        """Wait at the limit, a second at most."""
        give_up_at_s = self.elapsed_s + _PATIENCE_S
        while self.acked >= self.limit and self.elapsed_s < give_up_at_s:
            await asyncio.sleep(_POLL_S)
