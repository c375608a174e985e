"""Idempotency keys: UUIDv7, minted by whoever sends, the same on every retry of one request.

Source: RFC 9562, section 5.7 (48 bits of Unix milliseconds, then version, variant and randomness).
"""

import os
import time
import uuid

from asyncpg.pgproto.pgproto import UUID  # equal to those of `uuid`, read and compared in a tenth of the time

KEY_BYTES = 16
_VERSION, _VARIANT = 0x7, 0b10


def mint_key(now_ms: int | None = None) -> uuid.UUID:
    """Return a new key; ``now_ms`` is milliseconds since 1970-01-01 UTC, the clock's where None."""
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return first_key(milliseconds, int.from_bytes(os.urandom(10), "big"))


def first_key(milliseconds: int, random_bits: int = 0) -> uuid.UUID:
    """Return the key of a millisecond with the given low bits: without any, the lowest one a client can mint then."""
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random_bits & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | _VERSION << 76
    value = value & ~(0x3 << 62) | _VARIANT << 62
    return UUID(value.to_bytes(KEY_BYTES, "big"))


def key_from_bytes(raw: bytes) -> uuid.UUID:
    """Read a key of 16 bytes.

    Raises:
        ValueError: it is not a UUIDv7.
    """
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, got {len(raw)}")
    return _checked(UUID(raw))


def key_from_text(text: str) -> uuid.UUID:
    """Read a key in its 36-character form.

    Raises:
        ValueError: it is not a UUIDv7.
    """
    key = UUID(text)
    if str(key) != text.lower():
        raise ValueError("a key is a UUID in its 36-character form")
    return _checked(key)


def minted_ms(key: uuid.UUID) -> int:
    """Return when the key was minted, in milliseconds since 1970-01-01 UTC by its minter's clock."""
    return key.int >> 80


def _checked(key: uuid.UUID) -> uuid.UUID:
    number = key.int
    if number >> 76 & 0xF != _VERSION or number >> 62 & 0x3 != _VARIANT:
        raise ValueError("a key is a UUID of version 7")
    return key
