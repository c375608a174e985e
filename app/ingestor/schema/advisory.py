"""The keys of our advisory locks."""

import hashlib


def advisory_key(use: str, schema: str) -> int:
    """Return the number of the lock of ``schema`` for one use."""
    digest = hashlib.blake2b(f"analytics-ingestor/{use}/{schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
