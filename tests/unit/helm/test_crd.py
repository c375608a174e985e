"""The chart prints the generated CRD as it is, and keeps it at an uninstall."""

import shutil
from pathlib import Path

import yaml

from support.helm import CHART, Helm, objects_of, only

FILE = CHART / "files" / "crds" / "ingestors.yaml"


def test_the_crd_is_the_generated_one_and_stays_when_the_release_goes(helm: Helm) -> None:
    (wanted,) = objects_of(FILE)
    wanted["metadata"].setdefault("annotations", {})["helm.sh/resource-policy"] = "keep"
    assert only(helm.render(), "CustomResourceDefinition") == wanted


def test_annotations_and_large_numbers_of_the_file_survive(helm: Helm, tmp_path: Path) -> None:
    # Helm's YAML functions read every number as a float, and a merge may replace instead of add.
    chart = Path(shutil.copytree(CHART, tmp_path / "chart"))
    (crd,) = objects_of(FILE)
    crd["metadata"]["annotations"] = {"other": "stays"}
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["maxProperties"] = 2**40
    (chart / "files" / "crds" / "ingestors.yaml").write_text(yaml.safe_dump(crd))
    rendered = only(helm.render(chart=chart), "CustomResourceDefinition")
    crd["metadata"]["annotations"]["helm.sh/resource-policy"] = "keep"
    assert rendered == crd


def test_the_crd_can_be_left_to_others(helm: Helm) -> None:
    objects = helm.render({"crds": {"create": False}})
    assert "CustomResourceDefinition" not in {item["kind"] for item in objects}
    assert "waits until it is there" in helm.notes({"crds": {"create": False}})
