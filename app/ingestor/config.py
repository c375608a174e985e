"""The settings of one ingestor process, from ``INGESTOR_*`` variables alone, checked once at start."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestor.database_url import clean_database_url
from ingestor.errors import ConfigurationError
from ingestor.listening import EVERY_ADDRESS

MIB = 1024 * 1024
ENV_PREFIX = "INGESTOR_"

AckName = Literal["committed", "buffered"]


class Settings(BaseSettings):
    """Settings of one ingestor pod; every field is the variable ``INGESTOR_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, populate_by_name=True, allow_inf_nan=False)

    database_url: SecretStr = Field(description="TimescaleDB DSN of the writer role; never logged.")
    database_schema: str = Field("analytics", pattern=r"^[a-z_][a-z0-9_]{0,39}$", description="Schema of our tables.")
    connections: int = Field(2, ge=1, le=4, description="Database connections that write, each with its own flush.")

    grpc_host: str = Field(EVERY_ADDRESS, description="Address or name that gRPC listens on; :: is all, IPv4 too.")
    grpc_port: int = Field(50051, ge=0, le=65535, description="Port that gRPC listens on; 0 takes a free one.")
    http_host: str = Field(EVERY_ADDRESS, description="The same of /metrics and the probes.")
    http_port: int = Field(9090, ge=0, le=65535, description="Port of /metrics and the probes; 0 takes a free one.")
    reflection: bool = Field(True, description="Offer gRPC server reflection.")

    ack: AckName = Field("committed", description="What an OK answer promises where the request does not say.")
    minimum_ack: AckName = Field("buffered", description="The weakest acknowledgement that a request may ask for.")
    commit_timeout_s: float = Field(
        20.0, ge=0.1, le=50, description="Longest wait for a commit; then UNAVAILABLE, or DEADLINE_EXCEEDED if unknown."
    )
    deduplication_window_min: int = Field(60, ge=5, le=10_080, description="How long a key is remembered, in minutes.")

    batch_rows: int = Field(20_000, ge=1, description="Rows that make a flush due at once.")
    batch_max_rows: int = Field(50_000, ge=1, description="Most rows of one flush.")
    flush_interval_s: float = Field(0.003, ge=0, le=5, description="Shortest time between flushes that callers await.")
    lazy_flush_interval_s: float = Field(0.05, ge=0, le=60, description="The same where nobody waits for a commit.")
    buffer_bytes: int = Field(64 * MIB, ge=MIB, description="Memory of points that wait for the database.")
    in_flight_bytes: int = Field(
        48 * MIB, ge=MIB, description="Messages being received at once, each counted with INGESTOR_MESSAGE_BYTES."
    )
    series_cache_bytes: int = Field(64 * MIB, ge=MIB, description="Memory of the series cache.")

    message_bytes: int = Field(4 * MIB, ge=1024, description="Largest message; larger ones get RESOURCE_EXHAUSTED.")
    receive_timeout_s: float = Field(10.0, ge=1, description="Longest time in which a message is received.")
    streams_per_connection: int = Field(16, ge=1, description="Concurrent calls per connection.")
    connection_age_s: float = Field(
        60.0, ge=1, description="Age at which clients are told to reconnect, to spread load."
    )
    name_bytes: int = Field(256, ge=1, le=1024, description="Longest service, metric or label name.")
    label_value_bytes: int = Field(2_048, ge=1, le=65_536, description="Longest label value.")
    labels_per_point: int = Field(64, ge=0, le=1024, description="Most labels of one point.")
    labels_bytes: int = Field(16_384, ge=0, description="Most bytes of names and values of one point's labels.")
    time_behind_s: float = Field(
        31 * 86_400.0, gt=0, description="Oldest accepted time, before now; retention may allow less."
    )
    time_ahead_s: float = Field(600.0, ge=0, description="Latest accepted time, after now.")
    new_series_per_s: float = Field(10_000.0, ge=1, description="New series per second, as rows inserted by this pod.")

    points_per_s: float = Field(0.0, ge=0, description="Points per second that this pod takes; 0: as many as come.")

    shutdown_grace_s: float = Field(25.0, ge=6, description="From SIGTERM to exit, drain included.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    pod_name: str = Field("", max_length=253, description="Name in `rejects`; the host's name where empty.")

    traces_endpoint: str = Field(
        "",
        validation_alias=AliasChoices(
            f"{ENV_PREFIX}TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
        description="OTLP/gRPC collector, as http://host:4317; OTEL_EXPORTER_OTLP_ENDPOINT does too. Empty: no traces.",
    )
    traces_sample_ratio: float = Field(
        0.01, ge=0, le=1, description="Share of calls recorded where the caller's trace context does not decide."
    )

    @field_validator("database_url")
    @classmethod
    def _clean_url(cls, url: SecretStr) -> SecretStr:
        return SecretStr(clean_database_url(url.get_secret_value()))

    @field_validator("traces_endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        if endpoint and not re.fullmatch(r"https?://[^/\s]+/?", endpoint):
            raise ValueError("must be like http://collector:4317, here and in OTEL_EXPORTER_OTLP_ENDPOINT")
        return endpoint

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.batch_max_rows < self.batch_rows:
            raise ValueError("batch_max_rows must not be below batch_rows")
        if self.ack == "buffered" and self.minimum_ack == "committed":
            raise ValueError("ack=buffered is weaker than minimum_ack=committed")
        if self.message_bytes > self.in_flight_bytes:
            raise ValueError("message_bytes must not exceed in_flight_bytes: such a message could never be taken")
        return self


class LocalSettings(BaseSettings):
    """What decides which database the commands for this machine use."""

    model_config = SettingsConfigDict(frozen=True)

    database_url: SecretStr | None = Field(default=None, validation_alias=f"{ENV_PREFIX}DATABASE_URL")
    xdg_cache_home: str | None = Field(default=None, validation_alias="XDG_CACHE_HOME")

    @field_validator("database_url")
    @classmethod
    def _clean_url(cls, url: SecretStr | None) -> SecretStr | None:
        """Return None if there is no URL, or an empty one: then this machine runs a database of ours."""
        given = url.get_secret_value().strip() if url else ""
        return SecretStr(clean_database_url(given)) if given else None


def load_settings(**overrides: object) -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a variable is missing or wrong; the text names it.
    """
    with _named_faults():
        return Settings(**overrides)  # type: ignore[arg-type]


def load_local_settings() -> LocalSettings:
    """Read what decides which database the commands for this machine use.

    Raises:
        ConfigurationError: a variable is wrong; the text names it.
    """
    with _named_faults():
        return LocalSettings()


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_input=False)
        faults = [f"{_variable(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in found]
        raise ConfigurationError("wrong settings: " + "; ".join(faults)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    if not location:
        return "settings"
    name = str(location[0]).upper()
    return name if name.startswith(ENV_PREFIX) else ENV_PREFIX + name
