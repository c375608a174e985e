"""The CRD is generated, complete, structural, and promises the defaults that the service has."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from ingestor.config import Settings
from ingestor.schema.durations import duration_s
from ingestor.schema.spec import SchemaSpec
from ingestor_operator.crd import build_crd
from ingestor_operator.resource.ingestor import IngestorSpec
from ingestor_operator.resource.kinds import size_bytes
from support.operator_specs import DATABASE, ingestor_body, parsed, specs

FILE = Path(__file__).parents[3] / "helm" / "analytics-ingestor" / "files" / "crds" / "ingestors.yaml"
Schema = dict[str, Any]
(VERSION,) = build_crd()["spec"]["versions"]
ROOT: Schema = VERSION["schema"]["openAPIV3Schema"]

_ALLOWED = {
    "type", "description", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "maxProperties", "anyOf", "format", "items", "properties", "required", "additionalProperties",
    "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every schema inside of ``schema`` with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


def properties(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every property with its path."""
    for path, node in nodes(schema):
        for name, part in node.get("properties", {}).items():
            yield f"{path}.{name}", part


def test_the_committed_file_is_the_generated_crd() -> None:
    assert yaml.safe_load(FILE.read_text()) == build_crd(), "run `make crd`"


def test_every_field_is_described() -> None:
    missing = [path for path, part in properties(ROOT) if not part.get("description") and path != ".metadata"]
    assert missing == []


def test_fields_are_named_as_kubernetes_names_them() -> None:
    names = {path.rpartition(".")[2] for path, _ in properties(ROOT)}
    assert {name for name in names if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", name)} == set()


def test_the_schema_is_structural() -> None:
    for path, node in nodes(ROOT):
        assert set(node) <= _ALLOWED, path
        assert node.get("type") != "null", path
        assert "type" in node or "x-kubernetes-int-or-string" in node, path
        assert all("type" not in node or set(option) == {"type"} for option in node.get("anyOf", [])), path
        assert not ({"properties", "additionalProperties"} <= set(node)), path
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path


def test_what_rules_read_is_bounded_because_their_cost_is() -> None:
    for path, node in nodes(ROOT["properties"]["spec"], "spec"):
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if isinstance(node.get("additionalProperties"), dict):
            assert "maxProperties" in node, path


def test_every_rule_says_what_is_wrong() -> None:
    rules = [(path, rule) for path, node in nodes(ROOT) for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) > 15
    for path, rule in rules:
        assert set(rule) == {"rule", "message"}, path
        assert len(rule["message"]) > 10, path


def test_rules_name_fields_that_there_are() -> None:
    for path, node in nodes(ROOT):
        if "properties" not in node:
            continue
        for rule in node.get("x-kubernetes-validations", []):
            for reference in re.findall(r"self\.([a-zA-Z.]+)(?![a-zA-Z(])", rule["rule"]):
                here = node
                for name in reference.split("."):
                    if name == "metadata" or "properties" not in here:
                        break
                    assert name in here["properties"], (path, reference)
                    here = here["properties"][name]


def test_a_part_that_is_left_out_has_the_defaults_of_all_its_fields() -> None:
    for path, node in nodes(ROOT["properties"]["spec"], "spec"):
        if isinstance(node.get("default"), dict) and "properties" in node:
            assert node["default"] == _filled(node["default"], node), path
            wanted = {name for name, part in node["properties"].items() if "default" in part}
            assert wanted <= set(node["default"]), path


def test_the_defaults_are_those_that_the_operator_itself_takes() -> None:
    bare = {"database": {key: DATABASE[key] for key in ("writerSecretRef", "ownerSecretRef")}}
    written = _filled(bare, ROOT["properties"]["spec"])
    assert IngestorSpec.model_validate(written) == IngestorSpec.model_validate(bare)


SERVICE: dict[str, Any] = {name: field.default for name, field in Settings.model_fields.items()}


@pytest.mark.parametrize(
    ("path", "setting", "read"),
    [
        ("delivery.ack", "ack", str.lower),
        ("delivery.minimumAck", "minimum_ack", str.lower),
        ("delivery.batch.rows", "batch_rows", int),
        ("delivery.batch.maxRows", "batch_max_rows", int),
        ("delivery.buffer.size", "buffer_bytes", size_bytes),
        ("delivery.deduplicationWindow", "deduplication_window_min", lambda text: duration_s(text) / 60),
        ("delivery.commitTimeout", "commit_timeout_s", duration_s),
        ("server.port", "grpc_port", int),
        ("server.reflection", "reflection", bool),
        ("server.limits.messageSize", "message_bytes", size_bytes),
        ("server.limits.streamsPerConnection", "streams_per_connection", int),
        ("server.limits.connectionAge", "connection_age_s", duration_s),
        ("server.limits.labelsPerPoint", "labels_per_point", int),
        ("server.limits.timeBehind", "time_behind_s", duration_s),
        ("server.limits.timeAhead", "time_ahead_s", duration_s),
        ("server.limits.newSeriesPerSecond", "new_series_per_s", int),
        ("schema.name", "database_schema", str),
        ("observability.logLevel", "log_level", str),
    ],
)
def test_a_default_is_the_services_own(path: str, setting: str, read: Any) -> None:
    assert read(_default_of(path)) == SERVICE[setting]


@pytest.mark.parametrize(("path", "field"), [("index", "index"), ("chunkInterval", "chunk_interval"), ("name", "name")])
def test_a_default_is_the_schema_engines_own(path: str, field: str) -> None:
    assert _default_of(f"schema.{path}") == SchemaSpec.model_fields[field].default


def test_columns_and_subresources_point_at_fields_that_there_are() -> None:
    status = ROOT["properties"]["status"]["properties"]
    spec = ROOT["properties"]["spec"]["properties"]
    paths = [column["jsonPath"] for column in VERSION["additionalPrinterColumns"]]
    names = [column["name"] for column in VERSION["additionalPrinterColumns"]]
    assert names == ["Ready", "Reason", "Replicas", "Desired", "Schema", "Age"]
    scale = VERSION["subresources"]["scale"]
    for path in [*paths, *scale.values()]:
        room, _, rest = path.removeprefix(".").partition(".")
        if room != "metadata":
            assert re.split(r"[.\[]", rest)[0] in {"status": status, "spec": spec}[room], path


def test_conditions_are_merged_by_their_type() -> None:
    conditions = ROOT["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert {"type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"} == set(
        conditions["items"]["required"]
    )


def test_names_that_fit_here_fit_every_child() -> None:
    rule, _ = ROOT["x-kubernetes-validations"]
    pattern = re.search(r"matches\('(.*)'\)", rule["rule"])
    assert pattern is not None
    for name, fits in {"m": True, "a" * 50: True, "a" * 51: False, "a.b": False, "9a": False, "a-": False}.items():
        assert bool(re.fullmatch(pattern[1], name)) is fits, name
    assert len("a" * 50 + "-headless") <= 63


@settings(max_examples=100, deadline=None)
@given(spec=specs())
def test_fields_of_a_newer_crd_are_ignored_wherever_they_are(spec: dict[str, Any]) -> None:
    written = ingestor_body(**spec)["spec"]
    newer = _with_more(written, ROOT["properties"]["spec"])
    assert "fieldToCome" in newer["database"]["ownerSecretRef"]
    assert parsed(**newer) == parsed(**written)


def _with_more(value: Any, schema: Schema) -> Any:
    if isinstance(value, list) and "items" in schema:
        return [_with_more(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    known = {name: _with_more(part, schema["properties"][name]) for name, part in value.items()}
    return known | {"fieldToCome": "x"}


def _default_of(path: str) -> Any:
    node = ROOT["properties"]["spec"]
    for name in path.split("."):
        node = node["properties"][name]
    return node["default"]


def _filled(value: Any, schema: Schema) -> Any:
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    defaults = {name: part["default"] for name, part in schema["properties"].items() if "default" in part}
    return {name: _filled(part, schema["properties"][name]) for name, part in {**defaults, **value}.items()}
