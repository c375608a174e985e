"""Settings come from the environment alone; wrong ones stop the process with a line that names them."""

import re
from pathlib import Path

import pytest

from ingestor.config import MIB, Settings, load_settings
from ingestor.errors import ConfigurationError

URL = "postgresql://writer:secret@database/metrics"


def _fault(**settings: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(**({"database_url": URL} | settings))
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_setting_but_the_database_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTOR_DATABASE_URL", URL)
    settings = load_settings()
    assert settings.database_url.get_secret_value() == URL
    assert (settings.ack, settings.message_bytes, settings.in_flight_bytes) == ("committed", 4 * MIB, 48 * MIB)


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in repr(load_settings(database_url=URL))


def test_a_missing_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGESTOR_DATABASE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="INGESTOR_DATABASE_URL"):
        load_settings()


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTOR_CONNECTIONS", "many")
    assert "INGESTOR_CONNECTIONS" in _fault()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connections", 0),
        ("connections", 5),
        ("database_schema", "Bad-Name"),
        ("grpc_port", 65_536),
        ("ack", "spooled"),
        ("batch_rows", 0),
        ("commit_timeout_s", 51),
        ("deduplication_window_min", 4),
        ("shutdown_grace_s", 5),
        ("new_series_per_s", 0),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: object) -> None:
    assert f"INGESTOR_{name.upper()}:" in _fault(**{name: value})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_setting_is_without_an_end(value: str) -> None:
    decimals = [name for name, field in Settings.model_fields.items() if field.annotation is float]
    assert decimals
    for name in decimals:
        assert f"INGESTOR_{name.upper()}:" in _fault(**{name: value})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"batch_rows": 10, "batch_max_rows": 9}, "batch_max_rows must not be below batch_rows"),
        ({"ack": "buffered", "minimum_ack": "committed"}, "weaker than minimum_ack"),
        ({"message_bytes": 2 * MIB, "in_flight_bytes": MIB}, "message_bytes must not exceed in_flight_bytes"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], text: str) -> None:
    assert text in _fault(**settings)


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317"}, "http://a:4317"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b:4317"},
            "https://b:4317",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "INGESTOR_TRACES_ENDPOINT": ""}, ""),
    ],
    ids=["none", "general", "traces", "ours"],
)
def test_the_collector_is_named_by_the_nearest_variable(
    variables: dict[str, str], endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INGESTOR_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings(database_url=URL).traces_endpoint == endpoint


@pytest.mark.parametrize("name", ["INGESTOR_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize("value", ["collector:4317", "http://", "http://a:4317/v1/traces", "grpc://a:4317"])
def test_a_collector_that_is_no_address_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    fault = _fault()
    assert name in fault
    assert "must be like http://collector:4317" in fault


def test_no_other_module_reads_the_environment_of_the_service() -> None:
    """A setting read elsewhere would be missing from the one place where all are checked."""
    app = Path(__file__).parents[3] / "app/ingestor"
    rooms = ("api", "pipeline", "storage", "telemetry")
    readers = [
        path.name
        for room in rooms
        for path in (app / room).rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text())
    ]
    assert readers == []
