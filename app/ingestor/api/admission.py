"""What a call must pass before its message is decoded: bytes in flight; and what its metadata asks for."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span

from ingestor.errors import InvalidRequestError, TransientError, Violation
from ingestor.keys import key_from_text
from ingestor.pipeline.ingest import Wish
from ingestor.points import Ack

KEY_METADATA = "x-idempotency-key"
ACK_METADATA = "x-ack"
_ACKS = {"committed": Ack.COMMITTED, "buffered": Ack.BUFFERED}


class BytesInFlight:
    """Bounds the messages being handled; gRPC keeps each until its call ends."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.size_bytes = 0

    @contextmanager
    def admit(self, size_bytes: int) -> Iterator[None]:
        """Count a message in for as long as its call is handled.

        Raises:
            TransientError: too much is in flight.
        """
        if self.size_bytes + size_bytes > self._limit_bytes:
            raise TransientError("too many bytes in flight", reason="too_much_in_flight")
        self.size_bytes += size_bytes
        try:
            yield
        finally:
            self.size_bytes -= size_bytes


def read_wish(metadata: Iterable[tuple[str, str | bytes]], span: Span | None = None) -> Wish:
    """Read what the metadata of a call asks for; ``span`` goes along.

    Raises:
        InvalidRequestError: an entry is malformed or given twice.
    """
    key: uuid.UUID | None = None
    ack: Ack | None = None
    for name, value in metadata:
        if name == KEY_METADATA:
            if key is not None:
                raise _invalid(name, "idempotency_key_ambiguous", "given twice")
            key = _read_key(str(value))
        elif name == ACK_METADATA:
            if ack is not None:
                raise _invalid(name, "ack_ambiguous", "given twice")
            ack = _ACKS.get(str(value))
            if ack is None:
                raise _invalid(name, "ack_unknown", f"must be one of {', '.join(_ACKS)}")
    return Wish(key, ack, span)


def _read_key(text: str) -> uuid.UUID:
    try:
        return key_from_text(text)
    except ValueError as error:
        raise _invalid(KEY_METADATA, "idempotency_key_malformed", str(error)) from None


def _invalid(field: str, reason: str, message: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(field, reason, message)])
