"""What the operator says of an object: conditions and the numbers that scaling and people need."""

from typing import Annotated, Literal

from pydantic import Field

from ingestor_operator.resource.kinds import ResourceModel

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ResourceModel):
    """One observation, as in Kubernetes' API conventions."""

    type: str = Field(max_length=64, description="What is observed.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int = Field(description="Generation of the object that the observation is about.")
    last_transition_time: str = Field(
        description="When status last changed.", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(max_length=64, description="Why, for programs.")
    message: str = Field(max_length=32768, description="Why and what to do, for people.")


class Endpoints(ResourceModel):
    """Where clients connect."""

    service: str = Field(description="Host and port of the Service.")
    round_robin: str = Field(
        description="gRPC target that resolves to every pod, for clients that balance by round_robin."
    )


MAX_STEPS = 32
MAX_STEP_LENGTH = 500


class PendingPlan(ResourceModel):
    """What would be done to the schema, and is not done yet.

    The ConfigMap of the Ingestor's name and -schema-plan has the statements.
    """

    hash: str = Field(max_length=16, description="What spec.schema.approvedPlan must be for it.")
    steps: Annotated[list[str], Field(max_length=MAX_STEPS)] = Field(
        default_factory=list, description="The first of its steps: safe or held, what is done, and what that costs."
    )


class SchemaStatus(ResourceModel):
    """The schema as it was seen last."""

    database: str | None = Field(
        None, description="Identity of the database: another one behind the same address is not touched unasked."
    )
    applied: str | None = Field(None, description="Digest of what was applied last; a difference from it is drift.")
    pending_plan: PendingPlan | None = Field(None, description="What waits, for approval or for somebody to apply it.")


class IngestorStatus(ResourceModel):
    """What is observed."""

    observed_generation: int | None = Field(None, description="Generation that this status is about.")
    replicas: int = Field(0, description="Pods there are.")
    ready_replicas: int = Field(0, description="Pods that are ready.")
    selector: str | None = Field(None, description="Label selector of the pods, for autoscalers.")
    connections_per_pod: int | None = Field(None, description="Database connections that each pod holds.")
    image: str | None = Field(None, description="Image that the pods run, once it is rolled out.")
    rolled_out: str | None = Field(None, description="Hash of the pod template that was last rolled out in full.")
    endpoints: Endpoints | None = Field(None, description="Where clients connect.")
    schema_: SchemaStatus | None = Field(None, alias="schema", description="The schema as it was seen last.")
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(
        default_factory=list,
        description="Ready sums up all but DatabaseDurable: this generation is rolled out, the schema is as asked for,"
        " and no pod reports that commits fail.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
