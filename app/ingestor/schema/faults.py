"""What can go wrong with the schema; every text says what to do, every reason can become a condition."""

from typing import ClassVar

from ingestor.errors import PermanentError, TransientError


class SchemaTransientError(TransientError):
    """The same call may succeed later."""

    default_reason: ClassVar[str] = "database_unavailable"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason=self.default_reason, retry_after_s=retry_after_s)


class DatabaseUnavailableError(SchemaTransientError):
    """The database cannot be reached, or went away."""


class LockBusyError(SchemaTransientError):
    """Somebody else changes this schema, or a long transaction holds a lock that a step needs."""

    default_reason = "lock_busy"


class SchemaInUseError(SchemaTransientError):
    """Servers are connected that write to this schema."""

    default_reason = "schema_in_use"


class StepTimeoutError(SchemaTransientError):
    """A statement took longer than it may."""

    default_reason = "step_timeout"


class SchemaError(PermanentError):
    """The same call fails again until somebody changes something."""

    default_reason: ClassVar[str] = "step_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=self.default_reason)


class DatabaseRefusedError(SchemaError):
    """What the URL or the environment says of the database is wrong; subclasses say what."""

    default_reason = "database_refused"


class AuthenticationFailedError(DatabaseRefusedError):
    """The role or its password is wrong, or the server takes no such connection."""

    default_reason = "authentication_failed"


class DatabaseMissingError(DatabaseRefusedError):
    """The server has no database of this name."""

    default_reason = "database_missing"


class TlsFailedError(DatabaseRefusedError):
    """Client and server do not agree on TLS: a certificate, its name, its issuer, or none at all."""

    default_reason = "tls_failed"


class DirectConnectionNeededError(DatabaseRefusedError):
    """A pooler is in between, which may give each transaction another session: locks and roles would be lost."""

    default_reason = "direct_connection_needed"


class ReadOnlyError(SchemaError):
    """The database takes no changes from this role."""

    default_reason = "database_read_only"


class RightsMissingError(SchemaError):
    """The connected role may not do what a step needs."""

    default_reason = "rights_missing"


class RoleMissingError(SchemaError):
    """A role does not exist, or the connected one is not the owner."""

    default_reason = "role_missing"


class ExtensionMissingError(SchemaError):
    """TimescaleDB is not installed in this database and the owner cannot install it."""

    default_reason = "extension_missing"


class EncodingError(SchemaError):
    """The database's encoding can't hold every text."""

    default_reason = "database_encoding"


class ExtensionUnknownError(SchemaError):
    """TimescaleDB's own tables or views have another form than we know."""

    default_reason = "extension_unknown"


class ConflictError(SchemaError):
    """An object of a name that we need is not ours; it is left alone."""

    default_reason = "object_conflict"


class DependedOnError(SchemaError):
    """Something that is not ours rests on an object of ours, so that dropping it would take that along."""

    default_reason = "object_depended_on"


class DamagedError(SchemaError):
    """Something that we made is gone or was changed by hand in a way that no step repairs."""

    default_reason = "schema_damaged"


class MigrationChangedError(SchemaError):
    """An applied migration differs from the one this version brings."""

    default_reason = "migration_changed"


class SchemaTooNewError(SchemaError):
    """A newer version changed the schema in a way that this one cannot work with."""

    default_reason = "schema_too_new"


class VerificationError(SchemaError):
    """The steps ran, yet the database is still not what the spec asks for."""

    default_reason = "verification_failed"
