"""How the pods of an Ingestor are run: scheduling, scaling, Services, policies, logs and metrics. A closed list."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ingestor.schema.durations import Duration
from ingestor_operator.resource.kinds import (
    FreeObject,
    Quantity,
    ResourceModel,
    SecretRef,
    duration_between,
    rules,
)

ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer"]

LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
AnnotationValue = Annotated[str, Field(max_length=4096)]
Annotations = Annotated[dict[str, AnnotationValue], Field(max_length=64)]

_OWN_LABELS = rules(
    (
        "self.all(key, !key.startsWith('app.kubernetes.io/'))",
        "labels that start with app.kubernetes.io/ are the operator's own: choose another prefix",
    )
)
Labels = Annotated[dict[str, LabelValue], Field(max_length=64, json_schema_extra=_OWN_LABELS)]


def _default_requests() -> dict[str, int | str]:
    return {"cpu": "250m", "memory": "256Mi"}


def _default_limits() -> dict[str, int | str]:
    return {"memory": "1Gi"}


class Resources(ResourceModel):
    """Compute resources of a pod's one container, as in Kubernetes."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=_default_requests, description="What a pod is guaranteed."
    )
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=_default_limits,
        description="What a pod may use at most. With the default limits a pod was seen at 525Mi, whatever 64"
        " connections sent; 64Ki for each further call that waits, and larger buffers and caches, come on top.",
    )


class Toleration(ResourceModel):
    """A taint that pods tolerate, as in Kubernetes."""

    key: str | None = Field(None, max_length=317, description="Taint's key; all taints where left out.")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="How key and value are compared.")
    value: str | None = Field(None, max_length=63, description="Taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Taint's effect; all effects where left out."
    )
    toleration_seconds: int | None = Field(None, description="How long NoExecute is tolerated, in seconds.")


class Pod(ResourceModel):
    """What may be chosen about the pods; everything else is the operator's."""

    resources: Resources = Field(default_factory=Resources, description="Compute resources of the container.")
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = Field(
        None, description="Labels that a node must have."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        None, description="Taints that pods tolerate."
    )
    affinity: FreeObject | None = Field(None, description="Affinity, as in a pod's specification.")
    topology_spread_constraints: Annotated[list[FreeObject], Field(max_length=16)] | None = Field(
        None,
        description="How pods are spread, as in a pod's specification; over nodes, as far as possible, where left out.",
    )
    labels: Labels | None = Field(None, description="Further labels of the pods.")
    annotations: Annotations | None = Field(None, description="Further annotations of the pods.")
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass of the pods.")
    image_pull_secrets: Annotated[list[SecretRef], Field(max_length=16)] | None = Field(
        None, description="Secrets that pull the image."
    )


class Autoscaling(ResourceModel):
    """A HorizontalPodAutoscaler that scales this object by CPU."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.minReplicas <= self.maxReplicas",
                "minReplicas is above maxReplicas: lower one, or raise the other",
            ),
        )
    )

    min_replicas: int = Field(2, ge=1, le=1000, description="Fewest pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Most pods; the connections of each pod follow from it.")
    target_cpu_utilization_percentage: int = Field(
        70,
        alias="targetCPUUtilizationPercentage",
        ge=1,
        le=1000,
        description="CPU use to aim at, in percent of what pods request. One process uses one core at most.",
    )
    behavior: FreeObject | None = Field(
        None,
        description="How fast to scale, as in a HorizontalPodAutoscaler; up by 2 pods a minute and down by 1 in five"
        " minutes where left out.",
    )


class Service(ResourceModel):
    """The Service that clients connect to; a headless one beside it is always there."""

    type: ServiceType = Field("ClusterIP", description="Type of the Service.")
    annotations: Annotations | None = Field(None, description="Annotations of the Service.")


class NetworkPolicy(ResourceModel):
    """Which traffic reaches the pods, and leaves them."""

    enabled: bool = Field(
        True,
        description="Make a NetworkPolicy: in to gRPC and metrics, out to DNS and to the database's port at any"
        " address, nothing else.",
    )
    from_: Annotated[list[FreeObject], Field(max_length=32)] | None = Field(
        None,
        alias="from",
        description="Who may reach gRPC, as peers of a NetworkPolicy; everybody where left out.",
    )
    metrics_from: Annotated[list[FreeObject], Field(max_length=32)] | None = Field(
        None,
        description="Who may reach metrics and status, as peers of a NetworkPolicy; everybody where left out."
        " The operator must be among them.",
    )


class PodDisruptionBudget(ResourceModel):
    """Protection against voluntary disruptions."""

    enabled: bool = Field(True, description="Let at most one pod be evicted at a time.")


class PodMonitor(ResourceModel):
    """A PodMonitor for the Prometheus operator."""

    enabled: bool = Field(
        False, description="Make a PodMonitor; the operator must be installed with podMonitors.enabled."
    )
    interval: Duration = Field(
        "30s", description="Time between scrapes.", json_schema_extra=duration_between("1s", "1h")
    )
    labels: Labels | None = Field(None, description="Labels that Prometheus selects PodMonitors by.")


class Observability(ResourceModel):
    """Logs and metrics."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    pod_monitor: PodMonitor = Field(default_factory=PodMonitor, description="Scraping by the Prometheus operator.")
