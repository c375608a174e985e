"""Where an Ingestor's points go: the database, its credentials, and the schema that is kept there."""

from typing import Literal

from pydantic import ConfigDict, Field

from ingestor.schema.durations import Duration
from ingestor.schema.identifiers import ROLE_PATTERN, SCHEMA_PATTERN
from ingestor.schema.lifecycle import MAX_ROLLUPS
from ingestor.schema.spec import IndexName, SchemaSpec
from ingestor_operator.resource.ageing import AGEING_RULES, ColumnstoreSpec, RetentionSpec, RollupSpec
from ingestor_operator.resource.kinds import ResourceModel, SecretRef, duration_between, rules

TlsMode = Literal["VerifyFull", "Require", "Disabled"]
ManagementPolicy = Literal["Apply", "Plan", "Observe"]
ReclaimPolicy = Literal["Retain", "Delete"]
DriftPolicy = Literal["Correct", "Report"]


class CaSecretRef(SecretRef):
    """A key of a Secret that holds certificates of authorities, PEM."""

    key: str = Field("ca.crt", min_length=1, max_length=253, description="Key of the Secret's data.")


class DatabaseTls(ResourceModel):
    """How connections to the database are encrypted and whom they trust."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.caSecretRef) || self.mode == 'VerifyFull'",
                "caSecretRef needs mode VerifyFull: set that, or remove it",
            )
        )
    )

    mode: TlsMode = Field(
        "VerifyFull",
        description="VerifyFull checks the server's certificate and host name; Require encrypts without checking;"
        " Disabled sends everything, passwords included, in the clear. What a uri in the Secrets says of TLS wins.",
    )
    ca_secret_ref: CaSecretRef | None = Field(
        None, description="Authorities to trust; the image's own (the public ones) where left out."
    )


class Database(ResourceModel):
    """The TimescaleDB database, as operator and pods reach it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.host) == has(self.name)", "give host and name together, or neither and a uri in both Secrets"),
            (
                "self.writerSecretRef.name != self.ownerSecretRef.name",
                "writerSecretRef and ownerSecretRef must differ: pods must not hold the owner's password",
            ),
        )
    )

    host: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="Host of the primary, reached directly and not through a pooler in transaction mode."
        " A name without dots is a Service in this object's namespace."
        " Left out, host, port and database come from the Secrets' key uri.",
        json_schema_extra=rules(
            (
                "!self.contains(':') || self.matches('^[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,7}$')",
                "host is a name or an address alone: write its port into spec.database.port",
            ),
        ),
    )
    port: int = Field(5432, ge=1, le=65535, description="Port of the database; unused where host is left out.")
    name: str | None = Field(
        None, min_length=1, max_length=63, pattern=r"^[^\x00/?#]+$", description="Name of the database."
    )
    tls: DatabaseTls = Field(default_factory=DatabaseTls, description="Encryption of connections.")
    writer_secret_ref: SecretRef = Field(
        description="Credentials of the role that pods write with: username and password, or uri where host is left"
        " out. A change of the Secret rolls the pods."
    )
    owner_secret_ref: SecretRef = Field(
        description="Credentials of the role that owns the schema, for the operator alone: username and password, or"
        " uri where host is left out."
    )
    reader_role: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        pattern=ROLE_PATTERN,
        description="Role that may read the view metrics; the schema's name and _reader where left out.",
    )
    max_connections: int = Field(
        50,
        ge=4,
        le=10_000,
        description="Connections that all pods together may hold, also during a rollout, which doubles the pods."
        " Each pod gets two, or one where two do not fit. Three are kept in reserve."
        " It binds this object alone: others that use the same writer have their own.",
    )


class Schema(ResourceModel):
    """The schema in the database: its shape, and what the operator may do with it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.reclaimPolicy != 'Delete' || self.managementPolicy == 'Apply'",
                "reclaimPolicy Delete changes the database, which needs managementPolicy Apply: use that, or Retain",
            ),
            *AGEING_RULES,
        )
    )

    management_policy: ManagementPolicy = Field(
        "Apply",
        description="Apply makes the schema what this object asks for; Plan only says what would be done, in the"
        " condition SchemaApplied, and pods neither start nor change until somebody has done it; Observe leaves the"
        " schema to others, and pods run as soon as it has what they need.",
    )
    reclaim_policy: ReclaimPolicy = Field(
        "Retain",
        description="What becomes of the data when this object is deleted: Retain keeps them; Delete drops what the"
        " operator made in the database, once all pods are gone.",
    )
    drift_policy: DriftPolicy = Field(
        "Correct",
        description="What is done where somebody changed what was applied: Correct changes it back as far as that loses"
        " no data; Report says so in the condition SchemaApplied and leaves it.",
    )
    approved_plan: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{16}$",
        max_length=16,
        description="Hash of the plan whose held steps may run; the condition SchemaApplied names it."
        " It counts for that plan alone. A step that takes longer than 90 s needs `ingestor schema apply --approve`.",
    )
    name: str = Field(
        "analytics",
        pattern=SCHEMA_PATTERN,
        max_length=40,
        description="PostgreSQL schema of all tables. It cannot change: another name would start empty.",
        json_schema_extra=rules(
            ("self == oldSelf", "schema.name cannot change: create another Ingestor for another schema"),
            (
                "!self.matches('^(pg_.*|information_schema|_?timescaledb_.*)$')",
                "schema.name is reserved by PostgreSQL or TimescaleDB: choose another",
            ),
        ),
    )
    index: IndexName = Field("SeriesTime", description="SeriesTime reads fast; TimeBrin writes fast and stays small.")
    chunk_interval: Duration = Field(
        "1d",
        description="Time that one chunk of samples covers, such as 12h or 1d; a change concerns new chunks only.",
        json_schema_extra=duration_between("1m", "3650d"),
    )
    columnstore: ColumnstoreSpec | None = Field(
        None, description="Keeps old chunks by columns. Taking it out again waits for approval once chunks are in it."
    )
    retention: RetentionSpec | None = Field(
        None,
        description="Drops points by age; never where left out. What would drop points that could stay until then waits"
        " for approval.",
    )
    rollups: tuple[RollupSpec, ...] = Field(
        (),
        max_length=MAX_ROLLUPS,
        description="Sums over buckets of time. Dropping one, or changing its bucket, waits for approval.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    def desired(self) -> SchemaSpec:
        """Return what the database shall look like.

        Raises:
            ValidationError: fields that do not fit together, which the API server refuses too.
        """
        fields = self.model_dump(include={"name", "index", "chunk_interval", "columnstore", "retention", "rollups"})
        return SchemaSpec.model_validate(fields)
