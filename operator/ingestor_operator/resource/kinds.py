"""What all parts of the resource share: the model's settings, durations, sizes and quantities, and CEL rules."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ingestor.schema.durations import DURATION_PATTERN, duration_s

SIZE_PATTERN = r"^[1-9][0-9]{0,9}(Ki|Mi|Gi)?$"
_NUMBER = r"(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
QUANTITY_PATTERN = rf"^{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE]{_NUMBER}))?$"
"""Source: the pattern that controller-gen writes for ``resource.Quantity``."""
OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"

_UNIT_BYTES = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

Size = Annotated[str, Field(pattern=SIZE_PATTERN, max_length=12)]
Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
FreeObject = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A part of the Kubernetes API that is handed on as it is; the API server judges it when the child is applied."""


class ResourceModel(BaseModel):
    """A part of the resource: camelCase outside, frozen.

    The API server refuses unknown fields. Those that it knows and this version does not are of a newer CRD, as after a
    rollback of the operator alone, and are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class SecretRef(ResourceModel):
    """A Secret in the Ingestor's own namespace."""

    name: str = Field(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN, description="Name of the Secret.")


def size_bytes(text: str) -> int:
    """Return a size such as ``64Mi`` in bytes; the text matches ``SIZE_PATTERN``."""
    digits = text.rstrip("KMGi")
    return int(digits) * _UNIT_BYTES[text[len(digits) :]]


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the CEL rules of a field or a model, as pairs of rule and what to do where it is broken."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def seconds(duration: str) -> str:
    """Return the CEL expression of a duration's seconds; ``duration`` is that of the text."""
    units = "{'s':1,'m':60,'h':3600,'d':86400,'w':604800}"
    return f"int({duration}.find('^[0-9]+')) * {units}[{duration}.find('[a-z]+$')]"


def duration_between(least: str, most: str) -> dict[str, Any]:
    """Return the CEL rule that a duration lies between two others, both allowed.

    Each rule begins with ``matches``: the API server runs it on texts that break the pattern too.
    """
    own = seconds("self")
    rule = f"!self.matches('{DURATION_PATTERN}') || ({own} >= {duration_s(least)} && {own} <= {duration_s(most)})"
    return rules((rule, f"must be between {least} and {most}"))


def size_between(least: str, most: str) -> dict[str, Any]:
    """Return the CEL rule that a size lies between two others, both allowed."""
    rule = (
        f"!self.matches('{SIZE_PATTERN}') || (quantity(self).compareTo(quantity('{least}')) >= 0"
        f" && quantity(self).compareTo(quantity('{most}')) <= 0)"
    )
    return rules((rule, f"must be between {least} and {most}"))
