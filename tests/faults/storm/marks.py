"""Marks that a point carries in its value or name: they alone tell which rule of the database refuses it."""

from enum import Enum, IntEnum, auto


class Mark(Enum):
    """A kind of bad point; the value is what its value has after the decimal point."""

    CHECKED = 0.125  # a CHECK on samples refuses it, while there is one
    RAISED = 0.25  # a trigger on samples refuses it, while there is one
    BLOCKED = 0.375  # it is of a new series that a CHECK or trigger on series refuses, while there is one
    UNKEPT = 0.5  # samples never takes it, and while there is a trigger on rejects, that does not either


class Fate(IntEnum):
    """What has to become of a point."""

    STORED = auto()
    REFUSED = auto()
    EITHER = auto()
    """The rule came or went while the point was under way."""
