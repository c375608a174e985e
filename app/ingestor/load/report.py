"""The closing report: one table for people, one object for machines."""

from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from ingestor.errors import joined
from ingestor.load.totals import Failure, Totals

_PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9}


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One phase, ``synthetic`` or ``machine``, and how long it took until its last answer.

    ``service_name`` is that of all its points, by which they can be counted in the database.
    """

    name: str
    service_name: str
    elapsed_s: float
    totals: Totals

    @property
    def points_per_s(self) -> float:
        """Return acknowledged points per second."""
        return self.totals.acked_points / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def ack_ms(self) -> dict[str, float | None]:
        """Return percentiles and the maximum of the acknowledgement latency in milliseconds, None without any."""
        latencies = self.totals.latencies
        seconds = {name: latencies.percentile_s(percent) for name, percent in _PERCENTILES.items()}
        seconds["max"] = latencies.max_s if len(latencies) else None
        return {name: None if value is None else round(value * 1000, 3) for name, value in seconds.items()}

    def as_json(self) -> dict[str, object]:
        """Return the phase ready for JSON; counts are points where the name says nothing else.

        Stored, with acks of commits, are ``points_acked`` at least (which contain ``points_duplicate``), at most that,
        ``points_given_up`` and ``points_unanswered``, whose fate is unknown; ``points_sent`` is the sum of these
        three, ``points_rejected`` and ``points_refused``.
        """
        totals = self.totals
        return {
            "phase": self.name,
            "service_name": self.service_name,
            "elapsed_s": round(self.elapsed_s, 3),
            "points_per_s": round(self.points_per_s, 1),
            "points_sent": totals.sent_points,
            "points_acked": totals.acked_points,
            "points_duplicate": totals.duplicate_points,
            "points_rejected": totals.rejected_points,
            "points_refused": totals.refused_points,
            "points_given_up": totals.given_up_points,
            "points_unanswered": totals.unanswered_points,
            "requests_answered": totals.answered_requests,
            "retries": totals.retries,
            "refused": _failures_json(totals.refused),
            "given_up": _failures_json(totals.given_up),
            "first_rejection": totals.first_rejection,
            "ack_ms": self.ack_ms(),
            "longest_pause_s": round(totals.pauses.longest_s, 3),
        }


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one run did, phase by phase; ``interrupted`` where somebody stopped it."""

    phases: tuple[PhaseReport, ...]
    interrupted: bool = False

    @property
    def acked_points(self) -> int:
        """Return the points acknowledged in all phases."""
        return sum(phase.totals.acked_points for phase in self.phases)

    @property
    def exit_code(self) -> int:
        """Return 1 where points were given up or refused, or where nothing was acknowledged without interruption."""
        lost = any(phase.totals.refused or phase.totals.given_up for phase in self.phases)
        return int(lost or (self.acked_points == 0 and not self.interrupted))

    def as_json(self) -> dict[str, object]:
        """Return the report ready for JSON."""
        return {"interrupted": self.interrupted, "phases": [phase.as_json() for phase in self.phases]}

    def table(self) -> Table:
        """Return the report as a table, a column for each phase."""
        table = Table(title="interrupted" if self.interrupted else None)
        table.add_column("")
        columns = [_cells(phase) for phase in self.phases]
        for phase in self.phases:
            table.add_column(phase.name, justify="right")
        for name in dict.fromkeys(name for column in columns for name in column):
            table.add_row(name, *(column.get(name, "") for column in columns))
        return table

    def remarks(self) -> list[str]:
        """Return a line for each kind of trouble, with the words of the server."""
        lines = []
        for totals in (phase.totals for phase in self.phases):
            for verb, failures in (("refused", totals.refused), ("given up", totals.given_up)):
                lines += [joined(f"{verb}, {status}", escape(failure.message)) for status, failure in failures.items()]
            if totals.first_rejection:
                lines.append(f"first rejected point: {escape(totals.first_rejection)}")
            if totals.unanswered_points:
                lines.append(f"{totals.unanswered_points:,} points were in flight: they may or may not be stored")
        return lines


def _cells(phase: PhaseReport) -> dict[str, str]:
    totals = phase.totals
    cells = {
        "points acked": f"{totals.acked_points:,}",
        "of these duplicates": f"{totals.duplicate_points:,}",
        "points rejected": f"{totals.rejected_points:,}",
        "points/s": f"{phase.points_per_s:,.0f}",
        "seconds": f"{phase.elapsed_s:,.2f}",
    }
    for name, milliseconds in phase.ack_ms().items():
        cells[f"ack {name.replace('_', '.')}, ms"] = "-" if milliseconds is None else f"{milliseconds:,.1f}"
    cells["longest pause between acks, s"] = f"{totals.pauses.longest_s:,.2f}"
    cells["retries"] = f"{totals.retries:,}"
    cells["points refused"] = f"{totals.refused_points:,}"
    for status, failure in totals.refused.items():
        cells[f"  {status}"] = f"{failure.points:,}"
    cells["points given up"] = f"{totals.given_up_points:,}"
    if totals.unanswered_points:
        cells["points unanswered"] = f"{totals.unanswered_points:,}"
    return cells


def _failures_json(failures: dict[str, Failure]) -> dict[str, object]:
    return {
        status: {"points": failure.points, "requests": failure.requests, "message": failure.message}
        for status, failure in failures.items()
    }
