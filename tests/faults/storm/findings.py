"""What was counted during a storm, and what went against the contract."""

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 3


@dataclass
class Findings:
    """Counts by name, faults that really struck, and violations with the first examples of each."""

    counts: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    peak_rss_bytes: int = 0
    growth_bytes: int = 0

    def violate(self, law: str, detail: str, times: int = 1) -> None:
        """Note that ``law`` was broken; nothing is raised, so that the storm shows all there is."""
        self.violations[law] += times
        if sum(example.startswith(f"{law}: ") for example in self.examples) < SHOWN:
            self.examples.append(f"{law}: {detail}")
