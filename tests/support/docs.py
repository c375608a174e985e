"""What the docs tell people to type, for tests to run it as it is written there.

A command is a fenced block of ``sh`` or ``sql``, or in a sentence a piece of code that could be copied as it is. Tests
ask for each with words of its own in ``block("PAGE", "SECTION", number)`` and ``inline("PAGE", "beginning")``, by which
``tests/unit/test_docs.py`` finds those that nobody runs.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.eventually import HANG_S

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "helm/analytics-ingestor/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_COPYABLE = re.compile(r"((kubectl|helm|ingestor|make|curl|pytest) .*[-=/]|SELECT |ALTER \w+ |CALL ).*")
"""A command that has an option or names a value, and any statement; else it is only mentioned."""


def blocks(page: str) -> dict[tuple[str, int], tuple[str, str]]:
    """Return language and text of each fenced block by its section and its number there."""
    found: dict[tuple[str, int], tuple[str, str]] = {}
    text = (ROOT / page).read_text()
    for match in _FENCE.finditer(text):
        *_, section = _HEADING.findall(_FENCE.sub("", text[: match.start()])) or [""]
        number = sum(1 for known, _ in found if known == section)
        found[section, number] = (match[1], match[2])
    return found


def inlines(page: str) -> Iterator[str]:
    """Yield the commands in sentences, on one line each."""
    for code in _CODE.findall(_FENCE.sub("", (ROOT / page).read_text())):
        command = " ".join(code.split())
        if _COPYABLE.fullmatch(command):
            yield command


def block(page: str, section: str, number: int = 0) -> str:
    """Return the text of a fenced block."""
    return blocks(page)[section, number][1]


def inline(page: str, beginning: str) -> str:
    """Return the one command of a page's sentences that begins so."""
    found = {command for command in inlines(page) if command.startswith(beginning)}
    assert len(found) == 1, f"{page} has {len(found)} commands like {beginning!r}"
    return found.pop()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a command with what is particular to a place put in; each of it must be there."""
    for name, value in values.items():
        assert name in text, f"{name} is not in {text}"
        text = text.replace(name, value)
    return text


def shell(script: str, directory: Path, environment: Mapping[str, str], timeout_s: float = HANG_S) -> str:
    """Run commands as a person would in a shell and return what they print; what they left running ends with them.

    Raises:
        AssertionError: one of them failed.
    """
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
        cwd=directory,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout
