"""The object itself: what a user may ask for."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ingestor_operator.errors import InvalidSpecError
from ingestor_operator.resource.database import Database, Schema
from ingestor_operator.resource.delivery import Delivery, Server
from ingestor_operator.resource.kinds import ResourceModel, rules
from ingestor_operator.resource.workload import (
    Autoscaling,
    NetworkPolicy,
    Observability,
    Pod,
    PodDisruptionBudget,
    Service,
)

GROUP = "analytics-ingestor.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "Ingestor"
PLURAL = "ingestors"
FINALIZER = f"{GROUP}/cleanup"


class IngestorSpec(ResourceModel):
    """What is asked for; every default is written into the CRD."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.autoscaling) || 'cpu' in self.pod.resources.requests || 'cpu' in self.pod.resources.limits",
                "autoscaling measures CPU against requests: set pod.resources.requests.cpu",
            ),
        )
    )

    management_state: Literal["Managed", "Unmanaged"] = Field(
        "Managed",
        description="Unmanaged makes the operator leave this object and all that belongs to it alone; deleting it then"
        " keeps the data, whatever schema.reclaimPolicy says.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\s]+$",
        description="Image of the pods; the operator's own where left out, so that both are of one version.",
    )
    replicas: int = Field(2, ge=0, le=1000, description="Pods; with autoscaling, the autoscaler sets this.")
    autoscaling: Autoscaling | None = Field(None, description="Scaling by CPU; off where left out.")
    pod: Pod = Field(default_factory=Pod, description="Scheduling, resources and metadata of the pods.")
    service: Service = Field(default_factory=Service, description="The Service that clients connect to.")
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy, description="Traffic to and from the pods.")
    pod_disruption_budget: PodDisruptionBudget = Field(
        default_factory=PodDisruptionBudget, description="Protection against voluntary disruptions."
    )
    server: Server = Field(default_factory=Server, description="The gRPC server in each pod.")
    delivery: Delivery = Field(default_factory=Delivery, description="What an answer promises.")
    database: Database = Field(description="The TimescaleDB database that points go to.")
    schema_: Schema = Field(
        default_factory=Schema, alias="schema", description="The schema in the database, made before pods start."
    )
    observability: Observability = Field(default_factory=Observability, description="Logs and metrics.")

    @property
    def most_replicas(self) -> int:
        """Return the most pods there may be, rollouts aside."""
        return max(self.replicas, self.autoscaling.max_replicas if self.autoscaling else 0)


@dataclass(frozen=True, slots=True)
class Ingestor:
    """One object as it was read: identity, what is asked for in raw form, and the status that was last written."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created: str
    deleting: bool
    finalizers: tuple[str, ...]
    raw_spec: dict[str, Any]
    status: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Return namespace and name."""
        return self.namespace, self.name

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Ingestor":
        """Return the object that the API server gave."""
        metadata = body["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata["generation"],
            resource_version=metadata["resourceVersion"],
            created=metadata["creationTimestamp"],
            deleting="deletionTimestamp" in metadata,
            finalizers=tuple(metadata.get("finalizers") or ()),
            raw_spec=body.get("spec") or {},
            status=body.get("status") or {},
        )

    def parse_spec(self) -> IngestorSpec:
        """Return what is asked for, defaults filled in.

        Raises:
            InvalidSpecError: the spec breaks a rule, which only an older CRD lets through; the text names the field.
        """
        try:
            return IngestorSpec.model_validate(self.raw_spec)
        except ValidationError as error:
            faults = [f"spec.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise InvalidSpecError("; ".join(faults[:5]) + "; correct it, or apply this version's CRD") from None
