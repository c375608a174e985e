"""The first fields of a ``WriteRequest`` read by hand, where they stand as encoders write them: in order, each once."""

from typing import NamedTuple

_KEY_TAG, _ACK_TAG = 0x0A, 0x10
_KEY_HEADER_BYTES = 2
_ACK_BYTES = 2
POINT_TAG = 0x1A
COLUMNS_TAG = 0x22


class Prefix(NamedTuple):
    """What stands before the points: key and ack as in the message, 0 where left out, and where the points start."""

    key: bytes
    ack: int
    end: int


def read_prefix(message: bytes) -> Prefix:
    """Return key and ack of a ``WriteRequest``; what follows ``end`` may be anything."""
    key, ack, end = b"", 0, 0
    size = len(message)
    if size > 1 and message[0] == _KEY_TAG and message[1] <= min(0x7F, size - _KEY_HEADER_BYTES):
        end = _KEY_HEADER_BYTES + message[1]
        key = message[_KEY_HEADER_BYTES:end]
    if size > end + 1 and message[end] == _ACK_TAG and message[end + 1] <= 0x7F:
        ack = message[end + 1]
        end += _ACK_BYTES
    return Prefix(key, ack, end)


def read_length(message: bytes | memoryview, start: int) -> tuple[int, int]:
    """Return the length that stands at ``start`` and where it ends; 0 and 0 where none of up to 4 bytes is there."""
    length = 0
    for position, byte in enumerate(message[start : start + 4]):
        length |= (byte & 0x7F) << 7 * position
        if byte <= 0x7F:
            return length, start + position + 1
    return 0, 0


def varint_bytes(number: int) -> int:
    """Return how many bytes an encoder takes for a number of 0 or more."""
    return max(1, -(-number.bit_length() // 7))
