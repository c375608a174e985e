"""The CustomResourceDefinition, made from the pydantic models. ``python -m ingestor_operator.crd`` prints it."""

import sys
from copy import deepcopy
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingestor_operator.resource.ingestor import GROUP, KIND, PLURAL, VERSION, IngestorSpec
from ingestor_operator.resource.kinds import rules
from ingestor_operator.resource.status import IngestorStatus

Schema = dict[str, Any]

MAX_NAME_LENGTH = 50
"""Children are named after the object, the longest ``<name>-headless``, and a Service's name has 63 characters."""

_KEPT = frozenset(
    {
        "type", "description", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum",
        "minItems", "maxItems", "maxProperties", "anyOf", "format", "items", "properties", "required",
        "additionalProperties",
    }
)  # fmt: skip


def build_crd() -> Schema:
    """Return the CRD of this version."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "ingestor",
                "shortNames": ["igst"],
                "categories": ["analytics"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            _column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
            _column("Replicas", "integer", ".status.readyReplicas"),
            _column("Desired", "integer", ".spec.replicas"),
            _column("Schema", "string", '.status.conditions[?(@.type=="SchemaApplied")].reason'),
            _column("Age", "date", ".metadata.creationTimestamp"),
        ],
    }


def _column(name: str, kind: str, path: str) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path}


def _root() -> Schema:
    name_rule = (
        f"self.metadata.name.matches('^[a-z]([-a-z0-9]{{0,{MAX_NAME_LENGTH - 2}}}[a-z0-9])?$')",
        f"metadata.name names Services too: at most {MAX_NAME_LENGTH} of a-z, 0-9 and -, starting with a letter",
    )
    taken_rule = (
        "!self.metadata.name.endsWith('-headless')",
        "metadata.name must not end in -headless, which names another's second Service: choose another",
    )
    return {
        "type": "object",
        "description": "Ingestor runs pods that take metrics over gRPC and store them in TimescaleDB, and keeps the"
        " schema that they write to.",
        "required": ["spec"],
        **rules(name_rule, taken_rule),
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the API, group included."},
            "kind": {"type": "string", "description": "Ingestor."},
            "metadata": {"type": "object"},
            "spec": _structural(IngestorSpec),
            "status": _structural(IngestorStatus),
        },
    }


def _structural(model: type[BaseModel]) -> Schema:
    """Return a model's JSON schema as Kubernetes takes it: no references, no titles, defaults of parents filled in."""
    raw = model.model_json_schema(by_alias=True)
    schema = _convert(raw, raw.get("$defs", {}))
    schema["description"] = _first_sentence(model)
    _fill_defaults(schema, model)
    return schema


def _convert(raw: Schema, definitions: Schema) -> Schema:
    if "$ref" in raw:
        target = definitions[raw["$ref"].rpartition("/")[2]]
        raw = {**target, **{key: value for key, value in raw.items() if key != "$ref"}}
    options = [option for option in raw.get("anyOf", []) if option != {"type": "null"}]
    if "anyOf" in raw and len(options) == 1:  # optional: left out, never null
        raw = {**options[0], **{key: value for key, value in raw.items() if key not in ("anyOf", "default")}}
        return _convert(raw, definitions)
    kept = {key: deepcopy(value) for key, value in raw.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "properties" in kept:
        kept["properties"] = {key: _convert(value, definitions) for key, value in kept["properties"].items()}
        kept.pop("additionalProperties", None)
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _convert(kept["additionalProperties"], definitions)
    elif kept.get("additionalProperties") is True:
        del kept["additionalProperties"]
    if "items" in kept:
        kept["items"] = _convert(kept["items"], definitions)
    return kept


def _fill_defaults(schema: Schema, model: type[BaseModel]) -> None:
    """Give every object that may be left out its defaults in full.

    The API server rejects ``default: {}`` where rules read fields that are themselves defaulted.
    """
    for name, field in model.model_fields.items():
        part = schema["properties"][field.alias or name]
        if field.default_factory is not None:
            default = field.get_default(call_default_factory=True)
            part["default"] = (
                default.model_dump(mode="json", by_alias=True, exclude_none=True)
                if isinstance(default, BaseModel)
                else default
            )
        nested = _model_of(field)
        if nested is not None:
            _fill_defaults(part["items"] if part.get("type") == "array" else part, nested)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    candidates: list[Any] = [field.annotation]
    while candidates:
        candidate = candidates.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        candidates += get_args(candidate)
    return None


def _first_sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def print_crd() -> None:
    """Write the CRD to standard output, as the chart holds it."""
    sys.stdout.write("# Written by `make crd` from operator/ingestor_operator/resource; proven fresh by a test.\n")
    yaml.safe_dump(build_crd(), sys.stdout, sort_keys=False, width=110)


if __name__ == "__main__":
    print_crd()
