"""The clock that keys are made by: this machine's until a server refuses a key, then the server's."""

import uuid
from datetime import UTC, datetime

from ingestor.client.clock import Clock
from ingestor.keys import mint_key

_NS_PER_MS = 1_000_000


class KeyClock:
    """Mints keys whose times servers take, however wrong this machine's clock is.

    A clock that is set while the client runs, or stood still while the machine slept, makes the next key be refused,
    and the refusal corrects it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._correction_ms = 0

    def mint(self) -> uuid.UUID:
        """Return a new key."""
        return mint_key(self._unix_ms() + self._correction_ms)

    def correct(self, server_unix_ms: int) -> None:
        """Go by the server's clock, which just read ``server_unix_ms``."""
        self._correction_ms = server_unix_ms - self._unix_ms()

    def compare(self, server_unix_ms: int | None) -> str:
        """Return how this machine's clock differs from the server's, in words."""
        if server_unix_ms is None:
            now = datetime.fromtimestamp(self._unix_ms() / 1_000, UTC)
            return f"this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC: is that right?"
        ahead_s = (self._unix_ms() - server_unix_ms) / 1_000
        side = "ahead of" if ahead_s > 0 else "behind"
        return f"this machine's clock is {abs(ahead_s):.0f} s {side} the server's"

    def _unix_ms(self) -> int:
        return self._clock.unix_ns() // _NS_PER_MS
