"""The README says what is there."""

import re

from typer.main import get_command

from ingestor.__main__ import app
from support.settings_table import README, with_table


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = README.read_text()
    assert text == with_table(text), "run `make docs`"


def test_the_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `ingestor (\w+)", README.read_text(), re.MULTILINE))
    assert listed == set(get_command(app).commands)  # type: ignore[attr-defined]
