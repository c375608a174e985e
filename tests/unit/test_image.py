"""The Dockerfile says what the project says elsewhere, and what its readers rely on."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


@pytest.mark.parametrize("path", ["Dockerfile", "tests/compose/stand-ins/Dockerfile"])
def test_hadolint_has_no_complaint(path: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [str(hadolint), "--failure-threshold=warning", path]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stdout.decode()


def test_the_image_runs_as_a_fixed_user_without_rights_and_starts_without_a_shell() -> None:
    assert "\nUSER 65532:65532\n" in RUNTIME
    assert '\nENTRYPOINT ["ingestor"]\nCMD ["serve"]\n' in RUNTIME
    assert "\nEXPOSE 50051 9090\n" in RUNTIME


def test_the_image_carries_the_projects_version_and_description() -> None:
    assert f"\nARG VERSION={PROJECT['project']['version']}\n" in RUNTIME
    assert f'description="{PROJECT["project"]["description"]}"' in RUNTIME


def test_the_runtime_stage_installs_nothing() -> None:
    assert "\nRUN " not in RUNTIME


def test_every_package_is_installed_by_its_hash() -> None:
    installs = re.findall(r"pip \S* ?\S* ?install ([^&\n]+)", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in options or "--no-index" in options for options in installs)


def test_the_builder_installs_the_build_backend_and_all_that_it_needs() -> None:
    """An unlisted requirement of a newer hatchling would only show at the next build of the image."""
    found = re.search(r"wanted = /\^\(([^)]+)\)==/", DOCKERFILE)
    assert found is not None
    listed = set(found[1].split("|"))
    needed = {"hatchling"}
    for line in requires("hatchling") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.13"}):
            needed.add(requirement.name)
    assert listed == needed


def test_what_the_dockerfile_copies_is_not_ignored() -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    sources = {Path(package).parts[0] for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert sources <= copied
