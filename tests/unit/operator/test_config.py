"""The operator's settings."""

import pytest

from ingestor_operator.config import WatchSettings, load_settings
from ingestor_operator.errors import ConfigurationError

PREFIX = "INGESTOR_OPERATOR_"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGE", "NAMESPACES", "WORKERS", "RESYNC_S", "HTTP_PORT", "POD_MONITORS", "LOG_FORMAT", "LOG_LEVEL"):
        monkeypatch.delenv(PREFIX + name, raising=False)


def test_only_the_image_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "IMAGE", "ingestor:1")
    settings = load_settings()
    assert (settings.image, settings.workers, settings.resync_s, settings.http_port) == ("ingestor:1", 8, 300, 8080)
    assert settings.namespace_list == []
    assert settings.pod_monitors is False


@pytest.mark.parametrize(
    ("text", "names"), [("", []), (" ", []), ("a", ["a"]), ("a,b", ["a", "b"]), (" a , ,b, ", ["a", "b"])]
)
def test_namespaces_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]) -> None:
    monkeypatch.setenv(PREFIX + "NAMESPACES", text)
    assert WatchSettings().namespace_list == names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "0"),
        ("WORKERS", "many"),
        ("RESYNC_S", "1"),
        ("HTTP_PORT", "70000"),
        ("LOG_FORMAT", "xml"),
        ("IMAGE", ""),
    ],
)
def test_a_wrong_value_stops_it_with_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + "IMAGE", "ingestor:1")
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=PREFIX + name) as refusal:
        load_settings()
    assert "\n" not in str(refusal.value)


def test_a_missing_image_is_named() -> None:
    with pytest.raises(ConfigurationError, match="INGESTOR_OPERATOR_IMAGE"):
        load_settings()
