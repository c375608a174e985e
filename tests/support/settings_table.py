"""The settings as the README shows them. ``python -m support.settings_table`` in tests/ writes it there."""

from pathlib import Path

from ingestor.config import ENV_PREFIX, Settings

README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- settings: written by `make docs`, proven fresh by a test -->\n", "<!-- /settings -->"


def settings_table() -> str:
    """Return a table with a row per setting."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "needed" if field.is_required() else _shown(field.default)
        lines.append(f"| `{ENV_PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.12g}" if isinstance(default, float) else str(default)


def with_table(readme: str) -> str:
    """Return the README's text with the table of today."""
    before, rest = readme.split(START)
    return before + START + settings_table() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
