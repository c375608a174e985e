"""``skaffold.yaml`` is valid and fits the image, the chart and the examples that it names."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "skaffold.yaml").read_text()))
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "skaffold-v4beta11.json").read_text())
IMAGE = "ghcr.io/analytics-ingestor/analytics-ingestor"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["metadata"]["name"])
def test_each_config_fits_skaffolds_schema(config: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(config)


def test_the_schema_refuses_what_skaffold_does_not_know() -> None:
    wrong = {**CONFIGS[0], "deploy": {"helm": {"releases": [{"name": "x", "chart": "x"}]}}}
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(wrong)


def test_the_chart_is_there_before_the_example() -> None:
    operator, example = CONFIGS
    assert example["requires"] == [{"configs": [operator["metadata"]["name"]]}]
    assert operator["deploy"]["helm"]["releases"][0]["wait"] is True


def test_every_file_that_it_names_is_there() -> None:
    operator, example = CONFIGS
    paths = [operator["build"]["artifacts"][0]["docker"]["dockerfile"], *example["manifests"]["rawYaml"]]
    paths += [f"{release['chartPath']}/Chart.yaml" for release in operator["deploy"]["helm"]["releases"]]
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_chart_gets_the_image_that_was_built() -> None:
    operator = CONFIGS[0]
    assert operator["build"]["artifacts"][0]["image"] == IMAGE
    (release,) = operator["deploy"]["helm"]["releases"]
    suffix = re.sub(r"[^A-Za-z0-9]", "_", IMAGE)  # Skaffold's own rule for names in templates
    assert release["setValueTemplates"] == {
        f"image.{key}": f"{{{{.IMAGE_{variable}_{suffix}}}}}"
        for key, variable in (("repository", "REPO"), ("tag", "TAG"), ("digest", "DIGEST"))
    }
    values = yaml.safe_load((ROOT / release["chartPath"] / "values.yaml").read_text())
    assert values["image"]["repository"] == IMAGE
    assert {"repository", "tag", "digest"} <= set(values["image"])
