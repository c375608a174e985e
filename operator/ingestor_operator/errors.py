"""The operator's two kinds of error: trying again may help, or a person must change something."""


class OperatorError(Exception):
    """Anything this package raises on purpose; its text is fit for a user."""


class ConfigurationError(OperatorError):
    """A setting that stops the process; the text says what to change."""


class ClusterError(OperatorError):
    """The API server could not be asked, or failed; the same call may succeed later."""


class NotFoundError(ClusterError):
    """The API server knows no such object, or no such kind."""


class BlockedError(OperatorError):
    """Somebody must change something first; ``reason`` is the CamelCase reason of a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class InvalidSpecError(BlockedError):
    """The Ingestor asks for what cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidSpec", message)


class RefusedError(BlockedError):
    """The API server refuses an object that we apply: invalid, forbidden, or over a quota."""


class DatabaseError(OperatorError):
    """The database could not do what a deletion needs; it is tried again. ``reason`` is CamelCase."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
