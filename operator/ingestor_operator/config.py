"""The settings of the operator, from ``INGESTOR_OPERATOR_*`` variables alone, checked once at start."""

from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestor.listening import EVERY_ADDRESS
from ingestor_operator.errors import ConfigurationError

ENV_PREFIX = "INGESTOR_OPERATOR_"


class WatchSettings(BaseSettings):
    """Which namespaces are looked at."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, allow_inf_nan=False)

    namespaces: str = Field("", description="Namespaces to serve, separated by commas; empty serves the cluster.")

    @property
    def namespace_list(self) -> list[str]:
        """Return the namespaces to serve; empty means all."""
        return [name.strip() for name in self.namespaces.split(",") if name.strip()]


class Settings(WatchSettings):
    """Settings of one operator process; every field is the variable ``INGESTOR_OPERATOR_<NAME>``."""

    image: str = Field(min_length=1, description="Image of ingest pods where an Ingestor names none.")
    workers: int = Field(8, ge=1, le=64, description="Ingestors that are worked on at a time.")
    resync_s: float = Field(300.0, ge=5, description="Time after which everything is looked at anew, ± 10 %.")
    health_s: float = Field(15.0, ge=1, description="Time between two looks at pods that should be ingesting.")
    http_host: str = Field(EVERY_ADDRESS, description="Address or name of /metrics and /healthz; :: is every one.")
    http_port: int = Field(8080, ge=0, le=65535, description="Port of /metrics and /healthz; 0 takes a free one.")
    pod_monitors: bool = Field(False, description="PodMonitors may be made: their kind is there and allowed.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")


def load_settings(**overrides: object) -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a variable is missing or wrong; the text names it.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = [f"{ENV_PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("wrong settings: " + "; ".join(faults)) from None
