"""The chart's values as its README shows them. ``python -m support.helm_values`` in tests/ writes them there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from support.generated import with_part

CHART = Path(__file__).parents[2] / "helm" / "analytics-ingestor"
README = CHART / "README.md"

_COMMENT, _KEY = re.compile(r"^ *# (-- )?(.*)$"), re.compile(r"^( *)([A-Za-z]+):(.*)$")
INDENT = 2


class Value(NamedTuple):
    """One value of the chart, or a group that is described as a whole."""

    path: str
    default: Any
    description: str


def described_values(text: str) -> Iterator[Value]:
    """Yield each key of ``text`` that a comment beginning with ``--`` stands above, as helm-docs reads them."""
    values, path, comment = yaml.safe_load(text), list[str](), list[str]()
    for line in text.splitlines():
        if match := _COMMENT.match(line):
            comment = [match[2]] if match[1] else comment + [match[2]] * bool(comment)
            continue
        if match := _KEY.match(line):
            path = [*path[: len(match[1]) // INDENT], match[2]]
            if comment:
                yield Value(".".join(path), _at(values, path), " ".join(comment))
        comment = []


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def values_table() -> str:
    """Return a table with a row per value."""
    lines = [
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.description} |"
        for value in described_values((CHART / "values.yaml").read_text())
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *lines]) + "\n"


def with_values(readme: str) -> str:
    """Return the chart's README with the table of today."""
    return with_part(readme, "values", values_table())


if __name__ == "__main__":
    README.write_text(with_values(README.read_text()))
