"""The server's time in the refusal of a key, so that a client whose clock is wrong can make a better key."""

import time

_REASONS = {"idempotency_key_ahead", "idempotency_key_expired"}


def time_metadata(reason: str) -> dict[str, str]:
    """Return what ``ErrorInfo.metadata`` says beside ``reason``: mostly nothing."""
    return {"server_unix_ms": str(time.time_ns() // 1_000_000)} if reason in _REASONS else {}
