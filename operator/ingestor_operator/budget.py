"""How many database connections a pod may hold. Pure."""

from ingestor_operator.errors import BlockedError
from ingestor_operator.manifests.deployment import SURGE_PODS

MOST_PER_POD = 2
"""The service's own default, at which it was measured: a process uses one core, and more lanes do not make it faster.
Few, so that up to 11 pods fit into the default budget and scaling replaces none of them for the sake of this number."""
RESERVED_CONNECTIONS = 3
"""For the operator, and for the people who look what is wrong."""


def connections_per_pod(max_connections: int, most_replicas: int, present: int | None = None) -> int:
    """Return the connections of each pod, so that all together never exceed the bound.

    A rollout doubles the pods, because old ones hold theirs until they have flushed. ``present`` is what running pods
    have: where it fits it stays, for another number would replace them all.

    Raises:
        BlockedError: not even one connection a pod fits; the text has the numbers.
    """
    pods = 2 * most_replicas + SURGE_PODS
    fitting = (max_connections - RESERVED_CONNECTIONS) // pods
    if fitting < 1:
        needed = pods + RESERVED_CONNECTIONS
        text = (
            f"spec.database.maxConnections is {max_connections}, but {most_replicas} pods need {needed}: one for each"
            f" of {pods} pods during a rollout, and {RESERVED_CONNECTIONS} in reserve; raise it, or lower replicas"
        )
        raise BlockedError("TooFewConnections", text)
    return present if present and present <= fitting else min(MOST_PER_POD, fitting)
