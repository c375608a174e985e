"""The settings as the README shows them. ``python -m support.settings_table`` in tests/ writes it there."""

from pathlib import Path

from ingestor.config import ENV_PREFIX, Settings
from support.generated import with_part

README = Path(__file__).parents[2] / "README.md"


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
    return with_part(readme, "settings", settings_table())


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
