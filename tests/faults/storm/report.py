"""What a storm ends with: a table for people, JSON for programs."""

from dataclasses import asdict, dataclass

from faults.storm.findings import Findings
from faults.storm.judge import Verdict
from faults.storm.plan import Kind, Plan
from faults.storm.slices import Latencies

MIB = 1024 * 1024
TERMINATING = (Kind.BACKENDS, Kind.BEFORE_COMMIT, Kind.DURING_COMMIT)


@dataclass(frozen=True)
class Report:
    """The outcome of one storm; ``fingerprint`` names its schedule."""

    plan: Plan
    fingerprint: str
    choices: dict[str, str]
    findings: Findings
    verdict: Verdict
    latencies: Latencies
    duration_s: float

    @property
    def passed(self) -> bool:
        """Tell whether the contract held."""
        return not self.findings.violations

    def lines(self) -> list[str]:
        """Return the report for people."""
        findings = self.findings
        rows = [("seed", str(self.plan.seed)), ("schedule", self.fingerprint), ("took", f"{self.duration_s:.0f} s")]
        rows += [*self.choices.items(), *self.latencies.lines()]
        rows += [(kind, f"{count:,}") for kind, count in findings.struck.items()]
        rows += [("backends terminated in all", f"{sum(findings.struck[kind] for kind in TERMINATING):,}")]
        rows += [(name, f"{count:,}") for name, count in sorted(findings.counts.items())]
        rows += [("replies thrown away", f"{self.lost_share:.1%}")]
        rows += [(f"refused: {name}", f"{count:,}") for name, count in findings.refusals.most_common()]
        rows += [("peak memory of a server", f"{findings.peak_rss_bytes / MIB:.0f} MiB")]
        rows += [(f"points {name.replace('_', ' ')}", f"{count:,}") for name, count in asdict(self.verdict).items()]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines += [f"VIOLATED {law}: {count:,} times" for law, count in findings.violations.items()]
        return [*lines, *(f"  {example}" for example in findings.examples), "passed" if self.passed else "FAILED"]

    @property
    def lost_share(self) -> float:
        """Return which share of the replies never reached its client, cut requests included."""
        counts = self.findings.counts
        cut = counts["requests cut off before a reply"]
        return (counts["OK replies thrown away"] + cut) / max(1, counts["OK replies"] + cut)

    def as_json(self) -> dict[str, object]:
        """Return everything in it."""
        findings = self.findings
        return {
            "seed": self.plan.seed,
            "schedule": self.fingerprint,
            "plan": {**asdict(self.plan), "counts": {str(kind): n for kind, n in self.plan.counts.items()}},
            "choices": self.choices,
            "struck": {str(kind): count for kind, count in findings.struck.items()},
            "counts": dict(findings.counts),
            "refusals": dict(findings.refusals),
            "lost_replies_share": self.lost_share,
            "verdict": asdict(self.verdict),
            "healthy_calls": self.latencies.as_json(),
            "violations": dict(findings.violations),
            "examples": findings.examples,
            "peak_rss_bytes": findings.peak_rss_bytes,
            "growth_bytes": findings.growth_bytes,
            "duration_s": self.duration_s,
            "passed": self.passed,
        }
