"""What the server takes and what it promises: port, limits, acknowledgements, batches. Defaults are the service's."""

from typing import Literal

from pydantic import ConfigDict, Field

from ingestor.schema.durations import Duration
from ingestor_operator.resource.kinds import ResourceModel, Size, duration_between, rules, size_between

AckName = Literal["Committed", "Buffered"]

HTTP_PORT = 9090
"""Port of metrics, probes and status in every pod."""


class Limits(ResourceModel):
    """Bounds on what one client, message or point may ask for; above them the server refuses and says why."""

    message_size: Size = Field(
        "4Mi",
        description="Largest message; larger ones get RESOURCE_EXHAUSTED.",
        json_schema_extra=size_between("1Ki", "32Mi"),
    )
    streams_per_connection: int = Field(16, ge=1, le=1000, description="Concurrent calls per connection.")
    connection_age: Duration = Field(
        "60s",
        description="Age at which clients are told to reconnect, to spread load.",
        json_schema_extra=duration_between("1s", "1d"),
    )
    labels_per_point: int = Field(64, ge=0, le=1024, description="Most labels of one point.")
    time_behind: Duration = Field(
        "31d",
        description="Oldest accepted time of a point, before now; the schema's retention may allow less.",
        json_schema_extra=duration_between("1m", "3650d"),
    )
    time_ahead: Duration = Field(
        "10m",
        description="Latest accepted time of a point, after now.",
        json_schema_extra=duration_between("1s", "30d"),
    )
    new_series_per_second: int = Field(
        10_000, ge=1, le=1_000_000, description="New series that one pod registers per second."
    )


class Server(ResourceModel):
    """The gRPC server in each pod."""

    port: int = Field(
        50051,
        ge=1024,
        le=65535,
        description="Port of gRPC, in pods and Services alike, as clients of the headless Service need it.",
        json_schema_extra=rules((f"self != {HTTP_PORT}", f"{HTTP_PORT} is the port of metrics: choose another")),
    )
    reflection: bool = Field(True, description="Offer gRPC server reflection.")
    limits: Limits = Field(default_factory=Limits, description="Bounds on what is accepted.")


class Batch(ResourceModel):
    """How points are gathered into transactions."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.rows <= self.maxRows", "batch.rows is above maxRows: lower it, or raise maxRows")
        )
    )

    rows: int = Field(20_000, ge=1, le=1_000_000, description="Rows that make a flush due at once.")
    max_rows: int = Field(50_000, ge=1, le=1_000_000, description="Most rows of one flush.")


class Buffer(ResourceModel):
    """Memory of points that wait for the database."""

    size: Size = Field("64Mi", description="Size of the buffer.", json_schema_extra=size_between("1Mi", "16Gi"))


class Delivery(ResourceModel):
    """What an answer promises."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(self.ack == 'Buffered' && self.minimumAck == 'Committed')",
                "ack Buffered is weaker than minimumAck Committed: raise ack or lower minimumAck",
            ),
        )
    )

    ack: AckName = Field("Committed", description="What an OK answer promises where the request does not say.")
    minimum_ack: AckName = Field("Buffered", description="The weakest acknowledgement that a request may ask for.")
    batch: Batch = Field(default_factory=Batch, description="Gathering of points into transactions.")
    buffer: Buffer = Field(default_factory=Buffer, description="Memory of points that wait.")
    deduplication_window: Duration = Field(
        "1h",
        description="How long an idempotency key is remembered, in time that the database is up.",
        json_schema_extra=duration_between("5m", "7d"),
    )
    commit_timeout: Duration = Field(
        "20s",
        description="Longest wait for a commit before a caller is told to come back.",
        json_schema_extra=duration_between("1s", "50s"),
    )
