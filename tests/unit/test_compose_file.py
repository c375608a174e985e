"""``docker-compose.yaml`` and what it mounts keep what the README promises of them; nothing is started."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.files import read_panels

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("schema", "ingestor", "load")
ONE_SHOT = {"schema"}
GRAFANA = ROOT / "compose" / "grafana"

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_every_image_is_pinned_and_may_be_replaced_by_a_variable(name: str) -> None:
    found = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z./-]+:([\w.-]+)\}", SERVICES[name]["image"])
    assert found is not None
    assert re.search(r"\d+\.\d+\.\d+", found[1]), "a tag with a full version"


@each_service
def test_every_port_is_on_the_loopback_address_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+", port)


def test_no_two_services_take_the_same_port() -> None:
    ports = [port for service in SERVICES.values() for port in re.findall(r":-(\d+)\}", str(service.get("ports")))]
    assert len(ports) == len(set(ports)) == 5


@each_service
def test_every_service_that_stays_up_has_a_health_check_and_is_started_again(name: str) -> None:
    if name in ONE_SHOT:
        assert SERVICES[name]["restart"] == "on-failure"
    else:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["test"]


@each_service
def test_every_dependency_states_its_condition(name: str) -> None:
    for dependency, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if dependency in ONE_SHOT else "service_healthy"
        assert how == {"condition": wanted}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_nowhere_and_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_acknowledgement_is_immediate_as_in_the_original_design() -> None:
    assert SERVICES["ingestor"]["environment"]["INGESTOR_ACK"] == "buffered"


def test_every_password_is_a_variable_with_a_default() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if key.endswith("PASSWORD"):
                assert re.fullmatch(r"\$\{[A-Z_]*PASSWORD:-\w+\}", value), key


@each_service
def test_every_file_that_is_mounted_is_there(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_prometheus_scrapes_the_ingestor_where_it_serves_its_metrics() -> None:
    config = yaml.safe_load((ROOT / "compose/prometheus/prometheus.yaml").read_text())
    assert [job["static_configs"] for job in config["scrape_configs"]] == [[{"targets": ["ingestor:9090"]}]]


def _data_sources() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yaml").read_text())
    assert config["apiVersion"] == 1
    return {source["uid"]: source for source in config["datasources"]}


def test_grafana_gets_both_data_sources_and_reads_the_database_as_the_reader() -> None:
    prometheus, timescaledb = _data_sources()["prometheus"], _data_sources()["timescaledb"]
    assert (prometheus["type"], prometheus["url"]) == ("prometheus", "http://prometheus:9090")
    assert (timescaledb["type"], timescaledb["url"]) == ("grafana-postgresql-datasource", "timescaledb:5432")
    assert timescaledb["user"] == "analytics_reader"
    assert timescaledb["jsonData"]["database"] == SERVICES["timescaledb"]["environment"]["POSTGRES_DB"]
    assert timescaledb["jsonData"]["timescaledb"] is True
    variable = timescaledb["secureJsonData"]["password"].removeprefix("$")
    reader = SERVICES["schema"]["environment"]["INGESTOR_READER_PASSWORD"]
    assert SERVICES["grafana"]["environment"][variable] == reader


@pytest.mark.parametrize("name", ["ingest.json", "metrics.json"])
def test_grafana_gets_dashboards_for_the_data_sources_that_it_has(name: str) -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/dashboards.yaml").read_text())["providers"]
    source = f"./helm/analytics-ingestor/files/dashboards/{name}"
    assert f"{source}:{provider['options']['path']}/{name}:ro" in SERVICES["grafana"]["volumes"]
    kinds = {panel["datasource"]["type"] for panel in read_panels(name)}
    assert kinds <= {source["type"] for source in _data_sources().values()}
