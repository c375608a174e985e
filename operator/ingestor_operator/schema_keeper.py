"""Decide when to look at a database again, and remember what was seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from ingestor_operator.database import SchemaVerdict, Target, keep_schema
from ingestor_operator.metrics import Metrics
from ingestor_operator.queue import Key

RETRY_S = 8.0
"""Pause between two looks at a database that is not as it should be."""


@dataclass(frozen=True, slots=True)
class _Seen:
    target: Target
    verdict: SchemaVerdict
    at: float


class SchemaKeeper:
    """Looks at each Ingestor's schema when something about it changed, when it is suspect, and once a resync."""

    def __init__(
        self,
        metrics: Metrics,
        interval_s: float,
        keep: Callable[[Target], Awaitable[SchemaVerdict]] = keep_schema,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._metrics = metrics
        self._interval_s = interval_s
        self._keep = keep
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}

    async def keep(self, key: Key, target: Target, *, suspect: bool) -> SchemaVerdict:
        """Return how the schema is; ``suspect`` says that pods have trouble with the database."""
        seen = self._seen.get(key)
        if seen is not None and seen.target == target:
            settled = seen.verdict.good and not suspect
            if self._clock() - seen.at < (self._interval_s if settled else RETRY_S):
                return seen.verdict
        verdict = await self._keep(target)
        self._seen[key] = _Seen(target, verdict, self._clock())
        self._metrics.schema_checks.labels(verdict.applied.reason).inc()
        self._metrics.schema_steps.inc(verdict.steps)
        return verdict

    def forget(self, key: Key) -> None:
        """Drop what is known of an Ingestor that is gone."""
        self._seen.pop(key, None)
