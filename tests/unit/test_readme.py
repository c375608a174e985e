"""The README says what is there."""

import re

from typer.main import get_command

from ingestor.__main__ import app
from ingestor.storage.contract import ErrorClass
from support.settings_table import README, with_table


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = README.read_text()
    assert text == with_table(text), "run `make docs`"


def test_the_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `ingestor (\w+)", README.read_text(), re.MULTILINE))
    assert listed == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_readme_says_what_every_reason_of_a_refusal_means() -> None:
    sources = "".join(path.read_text() for path in (README.parent / "app" / "ingestor").rglob("*.py"))
    raised = set(re.findall(r'(?:Transient|Limit|CommitUnknown)Error\([^()]*?reason="(\w+)"', sources))
    raised |= set(re.findall(r'_end\(claim, "(\w+)"\)', sources)) | {"key_in_flight", "schema_not_ready"}
    raised |= {f"database_{error_class}" for error_class in ErrorClass}
    table = re.search(r"^\| reason \|.*?\n\n", README.read_text(), re.MULTILINE | re.DOTALL)
    assert table
    explained = {
        reason for row in table.group().strip().splitlines()[2:] for reason in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert raised == explained
