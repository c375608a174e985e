"""How long nothing was acknowledged: what an outage or a rollout looks like from outside."""


class Pauses:
    """The longest time between two marks: the start of a phase, each acknowledgement, and the end."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last_s: float | None = None

    def mark(self, now_s: float) -> None:
        """Note the moment, in seconds of a clock that never goes back; the first one only begins."""
        if self._last_s is not None:
            self.longest_s = max(self.longest_s, now_s - self._last_s)
        self._last_s = now_s
