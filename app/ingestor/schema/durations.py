"""Durations as users write them: a number and one of s, m, h, d, w."""

from typing import Annotated

from pydantic import Field

DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhdw]$"

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=7)]

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str) -> int:
    """Return a duration such as ``12h`` in seconds; the text matches ``DURATION_PATTERN``."""
    return int(text[:-1]) * _UNIT_S[text[-1]]


def format_duration(seconds: int) -> str:
    """Return seconds as ``duration_s`` reads them, in the largest unit up to days that leaves no rest."""
    unit = next((unit for unit in "dhm" if seconds % _UNIT_S[unit] == 0), "s")
    return f"{seconds // _UNIT_S[unit]}{unit}"
