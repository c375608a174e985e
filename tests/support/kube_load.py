"""A load generator inside the cluster, and what the database holds of the points that were acknowledged to it.

It runs as the Job of ``helm/examples``, through the headless Service, with a key for each request, until it is told to
stop: so it outlasts whatever happens to the servers meanwhile, however long that takes.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from ingestor.load.synthetic import SyntheticSource
from support.kube import EXAMPLES, SMALL, Manifest, Site, wait_for

logger = logging.getLogger(__name__)
"""Says how each run ended: ``pytest --log-cli-level=INFO``."""

SERIES = 1_000
POINTS = SERIES * 30 * 8_640
"""More than any run sends: 30 days of each series, the most that the generator takes."""

LONGEST_RUN_S = 280
"""For a generator that nobody stops."""

START_S = 30.0
"""For the Job's pod and the first commit."""

CATCH_UP_S = 20.0
"""For points to be stored again once all is well."""

END_S = 30.0
"""For answers to what is in flight."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds of one run: ``distinct`` counts pairs of series and time, of which each is sent once."""

    points: int
    distinct: int
    total: float


@dataclass(frozen=True, slots=True)
class Load:
    """One running generator; ``rate`` is in points per second, ``batch`` in points per request."""

    site: Site
    name: str
    rate: int
    form: str = "rows"
    batch: int = 50
    ack: str = "committed"

    def start(self) -> None:
        """Start it and return when its first points are stored."""
        self.site.apply(self._job())
        wait_for(lambda: self.stored().points, START_S, lambda: f"{self.name}: nothing is stored: {self.log()}")

    def stored(self) -> Stored:
        """Count in the database."""
        statement = (
            "SELECT count(*), count(DISTINCT (time, series_id)), coalesce(sum(value), 0) FROM analytics.samples"
            f" JOIN analytics.series ON id = series_id WHERE service_name = '{self.name}'"
        )
        points, distinct, total = self.site.sql(statement).split("|")
        return Stored(int(points), int(distinct), float(total))

    def outlast(self) -> None:
        """Return when points that were sent after this call began are stored: the load runs, and it gets through."""
        behind = self.stored().points + 64 * self.batch
        wait_for(lambda: self.stored().points > behind, CATCH_UP_S, lambda: f"{self.name}: stalled: {self.log()}")

    def stop(self) -> Manifest:
        """Stop it in order and return its report on its points."""
        # The container's first process may be signalled from inside only because it handles the signal.
        self.site.kubectl("exec", f"job/{self.name}", "--", "sh", "-c", "kill -TERM 1")
        wait_for(self._ended, END_S, lambda: f"{self.name} does not end: {self.log()}")
        lines = [line for line in self.log().splitlines() if line.startswith('{"interrupted"')]
        assert lines, self.log()
        report = json.loads(lines[-1])
        assert report["interrupted"], "it ended by itself, so it may have ended too early"
        return dict(report["phases"][0])

    def log(self) -> str:
        """Return what it printed."""
        return self.site.kubectl("logs", f"job/{self.name}", "--tail=20")

    def _ended(self) -> bool:
        status = self.site.get("job", self.name).get("status", {})
        return bool(status.get("succeeded") or status.get("failed"))

    def _job(self) -> Manifest:
        job: dict[str, Any] = yaml.safe_load(self.site.example((EXAMPLES / "load-job.yaml").read_text()))
        job["metadata"]["name"] = self.name
        container = job["spec"]["template"]["spec"]["containers"][0]
        container["resources"] = SMALL
        options = {
            "target": "dns:///metrics-headless:50051",
            "service-name": self.name,
            "form": self.form,
            "ack": self.ack,
            "batch": self.batch,
            "rate": self.rate,
            "series": SERIES,
            "points": POINTS,
            "duration": LONGEST_RUN_S,
        }
        container["command"] = ["ingestor", "load", "--json", *(f"--{name}={value}" for name, value in options.items())]
        return job


@contextmanager
def lossless(*loads: Load, pause_s: float) -> Iterator[list[Manifest]]:
    """Run loads around the body, which breaks something: every acked point is stored once, and no pause is longer.

    The load is there before the body begins and after it ended: points sent at both times are stored. The list has
    the loads' reports in the end.
    """
    reports: list[Manifest] = []
    for load in loads:
        load.start()
    yield reports
    for load in loads:
        load.outlast()
    for load in loads:
        reports.append(load.stop())
        _judge(load, reports[-1], pause_s)


def _judge(load: Load, report: Manifest, pause_s: float) -> None:
    stored, acked = load.stored(), report["points_acked"]
    logger.info("%s: %s, %s", load.name, stored, report)
    for fate in ("rejected", "refused", "given_up", "unanswered"):
        assert report[f"points_{fate}"] == 0, f"{fate}: {report}"
    assert report["points_sent"] == acked
    assert stored.points == stored.distinct, f"{stored.points - stored.distinct} points are doubled"
    assert stored.points == acked, f"{acked - stored.points} acked points are lost"
    assert abs(stored.total - sent_total(acked)) <= 1e-9 * stored.total, "values differ from those that were sent"
    assert report["longest_pause_s"] <= pause_s, report


def sent_total(points: int) -> float:
    """Return the sum of the first ``points`` values that a generator sends."""
    source = SyntheticSource(service_name="", points=points, series=SERIES, seed=1, now_ns=0)
    return float(sum(np.sum(batch.values) for batch in source.batches(10_000)))
