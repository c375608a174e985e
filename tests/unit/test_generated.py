"""The committed generated code is what the proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.api_reference import PAGE, with_reference

ROOT = Path(__file__).parents[2]
PROTOS = sorted(path.relative_to(ROOT / "proto") for path in (ROOT / "proto").rglob("*.proto"))


@pytest.mark.parametrize("proto", PROTOS, ids=str)
def test_generated_code_is_fresh(proto: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto")]
    command += [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", str(proto)]
    subprocess.run(command, check=True, timeout=60)
    for suffix in ("_pb2.py", "_pb2.pyi"):
        generated = proto.with_name(proto.stem + suffix)
        assert (ROOT / "app" / generated).read_text() == (tmp_path / generated).read_text(), "run `make proto`"


def test_the_api_reference_is_fresh() -> None:
    page = PAGE.read_text()
    assert page == with_reference(page), "run `make docs`"
