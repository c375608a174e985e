"""The two kinds of error: the same request may succeed later, or it never will.

Raised by the module that owns the cause, mapped to a gRPC status in ``api.status`` alone.
"""

from dataclasses import dataclass


def words_of(error: BaseException) -> str:
    """Return an error's text in one line, or its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def joined(*parts: str) -> str:
    """Return those of ``parts`` that are not empty, a colon between each two."""
    return ": ".join(part for part in parts if part)


class IngestorError(Exception):
    """Anything this package raises on purpose; its text is fit for a user."""


class ConfigurationError(IngestorError):
    """A setting or an environment that stops the process; the text says what to change."""


class TransientError(IngestorError):
    """The same request may succeed later.

    ``reason`` is a stable identifier (a label of ``ingestor_refused_total``); ``retry_after_s`` is the pause
    that the server advises, None where whoever maps the error knows better.
    """

    def __init__(self, message: str, *, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class LimitError(TransientError):
    """A rate limit is exceeded; the same request succeeds once the rate is lower."""


class KeyInFlightError(TransientError):
    """A request with the same key is being stored by somebody else right now."""

    def __init__(self) -> None:
        super().__init__("a request with this key is being stored elsewhere", reason="key_in_flight")


class CommitUnknownError(TransientError):
    """The points may or may not be committed; a retry with the same key is safe."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of a request: the field's path, a stable reason, and a sentence for a person."""

    field: str
    reason: str
    message: str


class PermanentError(IngestorError):
    """The same request can never succeed."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class InvalidRequestError(PermanentError):
    """The request is malformed, or none of its points is valid; then ``rejected`` counts them by reason."""

    def __init__(self, violations: list[Violation], rejected: dict[str, int] | None = None) -> None:
        text = "; ".join(joined(fault.field, fault.message) for fault in violations[:3])
        super().__init__(text, reason=violations[0].reason)
        self.violations = violations
        self.rejected = rejected or {}


class KeyReusedError(PermanentError):
    """The idempotency key was used before for other points."""

    def __init__(self) -> None:
        super().__init__("idempotency key was used before for other points", reason="idempotency_key_reused")


class KeyExpiredError(PermanentError):
    """The idempotency key is older than the deduplication window, so a repeat could not be told."""

    def __init__(self) -> None:
        super().__init__("idempotency key is older than the deduplication window", reason="idempotency_key_expired")


class CardinalityError(PermanentError):
    """A call that takes one message was sent more."""

    def __init__(self) -> None:
        super().__init__("the call takes one message and was sent more", reason="messages_too_many")
