"""The ``INGESTOR_*`` settings of a pod, from the spec."""

from typing import Any
from urllib.parse import quote

from ingestor.schema.durations import duration_s
from ingestor_operator.manifests.facts import Facts
from ingestor_operator.resource.database import TlsMode
from ingestor_operator.resource.delivery import HTTP_PORT
from ingestor_operator.resource.ingestor import IngestorSpec
from ingestor_operator.resource.kinds import size_bytes

CA_PATH = "/etc/ingestor/database"
DRAIN_S = 25
"""From SIGTERM to exit; see ``INGESTOR_SHUTDOWN_GRACE_S``."""

SSL_MODES: dict[TlsMode, str] = {"VerifyFull": "verify-full", "Require": "require", "Disabled": "disable"}
PUBLIC_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where the image keeps the public authorities; libpq and asyncpg know no such default."""


def environment(spec: IngestorSpec, facts: Facts) -> list[dict[str, Any]]:
    """Return a container's variables; credentials come from the Secret, never from here."""
    limits, delivery = spec.server.limits, spec.delivery
    values = {
        "INGESTOR_ACK": delivery.ack.lower(),
        "INGESTOR_BATCH_MAX_ROWS": delivery.batch.max_rows,
        "INGESTOR_BATCH_ROWS": delivery.batch.rows,
        "INGESTOR_BUFFER_BYTES": size_bytes(delivery.buffer.size),
        "INGESTOR_COMMIT_TIMEOUT_S": duration_s(delivery.commit_timeout),
        "INGESTOR_CONNECTIONS": facts.connections,
        "INGESTOR_CONNECTION_AGE_S": duration_s(limits.connection_age),
        "INGESTOR_DATABASE_SCHEMA": spec.schema_.name,
        "INGESTOR_DEDUPLICATION_WINDOW_MIN": duration_s(delivery.deduplication_window) // 60,
        "INGESTOR_GRPC_PORT": spec.server.port,
        "INGESTOR_HTTP_PORT": HTTP_PORT,
        "INGESTOR_LABELS_PER_POINT": limits.labels_per_point,
        "INGESTOR_LOG_FORMAT": "json",
        "INGESTOR_LOG_LEVEL": spec.observability.log_level,
        "INGESTOR_MESSAGE_BYTES": size_bytes(limits.message_size),
        "INGESTOR_MINIMUM_ACK": delivery.minimum_ack.lower(),
        "INGESTOR_NEW_SERIES_PER_S": limits.new_series_per_second,
        "INGESTOR_REFLECTION": str(spec.server.reflection).lower(),
        "INGESTOR_SHUTDOWN_GRACE_S": DRAIN_S,
        "INGESTOR_STREAMS_PER_CONNECTION": limits.streams_per_connection,
        "INGESTOR_TIME_AHEAD_S": duration_s(limits.time_ahead),
        "INGESTOR_TIME_BEHIND_S": duration_s(limits.time_behind),
    }
    pod_name = {"name": "INGESTOR_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    plain = [{"name": name, "value": str(value)} for name, value in values.items()]
    return [*plain, pod_name, *_database(spec, facts)]


def _database(spec: IngestorSpec, facts: Facts) -> list[dict[str, Any]]:
    """Return address and credentials; libpq's variables fill in what the URL leaves out."""
    database, secret = spec.database, spec.database.writer_secret_ref.name
    tls = [{"name": "PGSSLMODE", "value": SSL_MODES[database.tls.mode]}]
    if database.tls.mode == "VerifyFull":
        own = database.tls.ca_secret_ref
        path = f"{CA_PATH}/{own.key}" if own else PUBLIC_AUTHORITIES
        tls.append({"name": "PGSSLROOTCERT", "value": path})
    if facts.has_uri:
        return [_secret("INGESTOR_DATABASE_URL", secret, "uri"), *tls]
    host = f"[{database.host}]" if database.host and ":" in database.host else database.host
    name = quote(database.name or "", safe="")
    return [
        {"name": "INGESTOR_DATABASE_URL", "value": f"postgresql://{host}:{database.port}/{name}"},
        _secret("PGUSER", secret, "username"),
        _secret("PGPASSWORD", secret, "password"),
        *tls,
    ]


def _secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
