"""The examples are valid as they stand, and fit together."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from dashboards.files import FILES as DASHBOARDS
from support.helm import CHART, EXAMPLES, KUBERNETES, ROOT, Object, objects_of, only
from support.pod_security import containers, pod_spec, violations

FOREIGN_KINDS = {("postgresql.cnpg.io/v1", "Cluster")}
"""Kinds of other operators, whose schemas are not here."""

FILES = sorted(EXAMPLES.glob("*.yaml"))
every_file = pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])


@every_file
def test_the_api_server_would_take_every_object(path: Path) -> None:
    for item in objects_of(path):
        if item["kind"] == "Ingestor":
            _validate_ingestor(item)
        elif (item["apiVersion"], item["kind"]) not in FOREIGN_KINDS:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)


@every_file
def test_every_pod_may_run_under_the_strictest_pod_security(path: Path) -> None:
    for item in objects_of(path):
        if spec := pod_spec(item):
            assert violations(spec) == []
            asks_the_api_server = "serviceAccountName" in spec
            assert spec["automountServiceAccountToken"] is asks_the_api_server
            assert spec["enableServiceLinks"] is False


@every_file
def test_our_image_is_of_the_projects_version(path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    specs = [spec for item in objects_of(path) if (spec := pod_spec(item))]
    images = {container["image"] for spec in specs for container in containers(spec)}
    ours = {image for image in images if "ingestor" in image}
    assert ours <= {f"ghcr.io/analytics-ingestor/analytics-ingestor:{version}"}


@every_file
def test_objects_go_to_the_namespace_that_kubectl_is_told(path: Path) -> None:
    assert all("namespace" not in item["metadata"] for item in objects_of(path))


def test_the_first_ingestor_finds_its_database_and_its_secrets() -> None:
    objects = objects_of(EXAMPLES / "timescaledb.yaml")
    database = only(objects_of(EXAMPLES / "ingestor.yaml"), "Ingestor")["spec"]["database"]
    assert database["host"] == only(objects, "Service")["metadata"]["name"]
    assert database["tls"] == {"mode": "Disabled"}
    (server,) = only(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert {"name": "POSTGRES_DB", "value": database["name"]} in server["env"]
    usernames = {
        database["ownerSecretRef"]["name"]: "analytics_owner",
        database["writerSecretRef"]["name"]: "analytics_writer",
    }
    for name, username in usernames.items():
        assert only(objects, "Secret", name)["stringData"]["username"] == username


def test_the_bootstrap_job_takes_every_password_from_its_secret() -> None:
    objects = objects_of(EXAMPLES / "timescaledb.yaml")
    (container,) = only(objects, "Job")["spec"]["template"]["spec"]["containers"]
    sources = {
        item["name"]: item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"] if "valueFrom" in item
    }
    assert sources == {
        "ADMIN_PASSWORD": "timescaledb-admin",
        "INGESTOR_OWNER_PASSWORD": "timescaledb-owner",
        "INGESTOR_WRITER_PASSWORD": "timescaledb-writer",
        "INGESTOR_READER_PASSWORD": "timescaledb-reader",
    }
    names = {only(objects, "Secret", name)["stringData"]["password"] for name in sources.values()}
    assert len(names) == 4
    assert all(name.startswith("trying-") for name in names)


def test_prometheus_and_grafana_to_try_with_find_each_other_the_dashboards_and_the_database() -> None:
    objects = objects_of(EXAMPLES / "monitoring.yaml")
    provisioning = only(objects, "ConfigMap", "grafana")["data"]
    prometheus, timescaledb = yaml.safe_load(provisioning["datasources.yaml"])["datasources"]
    assert prometheus["url"] == f"http://{only(objects, 'Service', 'prometheus')['metadata']['name']}:9090"
    database = objects_of(EXAMPLES / "timescaledb.yaml")
    reader = only(database, "Secret", "timescaledb-reader")["stringData"]
    assert timescaledb["url"] == f"{only(database, 'Service')['metadata']['name']}.default:5432"
    assert (timescaledb["user"], timescaledb["secureJsonData"]["password"]) == (reader["username"], reader["password"])
    (provider,) = yaml.safe_load(provisioning["dashboards.yaml"])["providers"]
    spec = pod_spec(only(objects, "Deployment", "grafana"))
    assert spec is not None
    assert provider["options"]["path"] in {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    (mounted,) = [volume["projected"]["sources"] for volume in spec["volumes"] if "projected" in volume]
    assert {source["configMap"]["name"] for source in mounted} == {
        f"analytics-ingestor-{Path(name).stem}" for name in DASHBOARDS
    }


def test_the_load_goes_through_the_headless_service_of_the_first_ingestor() -> None:
    ingestor = only(objects_of(EXAMPLES / "ingestor.yaml"), "Ingestor")["metadata"]["name"]
    (container,) = only(objects_of(EXAMPLES / "load-job.yaml"), "Job")["spec"]["template"]["spec"]["containers"]
    assert f"dns:///{ingestor}-headless:50051" in container["command"]


def test_the_closed_ingestor_still_lets_the_operator_see_its_pods() -> None:
    spec = only(objects_of(EXAMPLES / "ingestor-production.yaml"), "Ingestor")["spec"]
    operator = {"app.kubernetes.io/name": "analytics-ingestor", "app.kubernetes.io/component": "operator"}
    peers = [peer.get("podSelector", {}).get("matchLabels") for peer in spec["networkPolicy"]["metricsFrom"]]
    assert operator in peers


def test_cloudnative_pgs_ingestor_uses_the_secrets_that_it_makes() -> None:
    objects = objects_of(EXAMPLES / "cloudnative-pg.yaml")
    cluster, spec = only(objects, "Cluster"), only(objects, "Ingestor")["spec"]
    name = cluster["metadata"]["name"]
    database = spec["database"]
    assert database["ownerSecretRef"]["name"] == f"{name}-app"
    assert database["tls"]["caSecretRef"]["name"] == f"{name}-ca"
    assert "host" not in database
    writer = only(objects, "Secret")
    assert database["writerSecretRef"]["name"] == writer["metadata"]["name"]
    secret = writer["stringData"]
    where = f"{name}-rw:5432/{cluster['spec']['bootstrap']['initdb']['database']}"
    assert secret["uri"] == f"postgresql://{secret['username']}:{secret['password']}@{where}"


def test_the_example_on_artifact_hub_is_valid() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for item in yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"]):
        _validate_ingestor(item)


def _validate_ingestor(item: Object) -> None:
    (crd,) = objects_of(CHART / "files" / "crds" / "ingestors.yaml")
    (version,) = [entry for entry in crd["spec"]["versions"] if item["apiVersion"].endswith(f"/{entry['name']}")]
    schema = _closed(version["schema"]["openAPIV3Schema"])
    schema["properties"].update(apiVersion={}, kind={}, metadata={})
    jsonschema.Draft202012Validator(schema).validate(item)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``schema`` that refuses unknown fields, as the API server does when asked to."""
    closed = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            closed[key] = _closed(schema[key])
    if "properties" in schema:
        closed["properties"] = {name: _closed(part) for name, part in schema["properties"].items()}
        closed["additionalProperties"] = False
    return closed
