"""Requests that hypothesis builds, with choices that coverage leads to: the decoder's property tests without an end."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["ingestor.pipeline", "ingestor.points"]):
    import ingestor.pipeline.decode  # noqa: F401 - instrumented before the tests import it

_TESTS = Path(__file__).parents[1] / "unit/app/pipeline"
_PROPERTIES = (
    ("test_decode_rows", "test_rows_in_any_encoding_are_read_as_the_public_messages_read_them"),
    ("test_decode_columns", "test_columns_in_any_encoding_are_read_as_the_public_messages_read_them"),
    ("test_known_shapes", "test_other_times_and_values_in_a_known_shape"),
    ("test_known_shapes", "test_a_request_that_differs_in_a_byte_or_in_length_from_a_known_one"),
)


def main() -> None:
    """Fuzz until the time given to libFuzzer is over: the first byte says which property, the others what it draws."""
    properties = [_load(module, name) for module, name in _PROPERTIES]

    def one(data: bytes) -> None:
        if data:
            properties[data[0] % len(properties)](data[1:])

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


def _load(module: str, name: str) -> Callable[[bytes], Any]:
    spec = importlib.util.spec_from_file_location(module, _TESTS / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    fuzz_one_input: Callable[[bytes], Any] = getattr(loaded, name).hypothesis.fuzz_one_input
    return fuzz_one_input


if __name__ == "__main__":
    main()
