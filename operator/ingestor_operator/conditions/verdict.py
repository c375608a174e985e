"""One observation, before it is a condition."""

import re
from dataclasses import dataclass

from ingestor_operator.resource.status import ConditionStatus

MAX_MESSAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Status, reason and message of a condition."""

    status: ConditionStatus
    reason: str
    message: str

    @property
    def good(self) -> bool:
        """Tell whether it is known to be well."""
        return self.status == "True"

    @property
    def bad(self) -> bool:
        """Tell whether it is known not to be well."""
        return self.status == "False"


def ok(reason: str, message: str) -> Verdict:
    """Return that something is well."""
    return Verdict("True", reason, message)


def failed(reason: str, message: str) -> Verdict:
    """Return that something is not well."""
    return Verdict("False", reason, shorten(message))


def unknown(reason: str, message: str) -> Verdict:
    """Return that something could not be observed."""
    return Verdict("Unknown", reason, shorten(message))


def camel(reason: str) -> str:
    """Return a reason such as ``lock_busy`` as conditions have it."""
    return "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", reason) if word)


def shorten(text: str) -> str:
    """Return a text that fits a condition; the end of a log says more than its beginning."""
    return text if len(text) <= MAX_MESSAGE else "… " + text[-MAX_MESSAGE:]
