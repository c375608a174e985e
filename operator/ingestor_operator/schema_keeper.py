"""Decide when to look at a database again, and remember what was seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from ingestor_operator.conditions.verdict import Verdict
from ingestor_operator.credentials import Credentials
from ingestor_operator.database import SchemaVerdict, Target, check_login, keep_schema
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
        log_in: Callable[[str], Awaitable[Verdict]] = check_login,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._metrics = metrics
        self._interval_s = interval_s
        self._keep = keep
        self._clock = clock
        self._log_in = log_in
        self._seen: dict[Key, _Seen] = {}
        self._logins: dict[str, tuple[Verdict, float]] = {}

    async def keep(self, key: Key, target: Target, *, suspect: bool) -> SchemaVerdict:
        """Return how the schema is; ``suspect`` says that pods have trouble with the database."""
        seen = self._seen.get(key)
        if seen is not None and seen.target == target:
            settled = seen.verdict.good and not suspect
            if self._clock() - seen.at < (self._interval_s if settled else RETRY_S):
                return seen.verdict
        verdict = await self._keep(target)
        self._seen[key] = _Seen(target, replace(verdict, steps=0), self._clock())
        self._metrics.schema_checks.labels(verdict.applied.reason).inc()
        self._metrics.schema_steps.inc(verdict.steps)
        return verdict

    async def check_login(self, credentials: Credentials) -> Verdict:
        """Return whether the database takes a writer's credentials; many Ingestors may share them."""
        now = self._clock()
        self._logins = {url: seen for url, seen in self._logins.items() if now - seen[1] < RETRY_S}
        # By URL: the same user and password may be right in one database and wrong in another.
        if credentials.url not in self._logins:
            self._logins[credentials.url] = await self._log_in(credentials.url), now
        return self._logins[credentials.url][0]

    def last_target(self, key: Key) -> Target | None:
        """Return the schema that an Ingestor was last seen with."""
        seen = self._seen.get(key)
        return seen.target if seen else None

    def doubt_all(self) -> None:
        """Look at every schema anew at the next occasion: one was dropped."""
        self._seen = {key: replace(seen, at=float("-inf")) for key, seen in self._seen.items()}

    def forget(self, key: Key) -> None:
        """Drop what is known of an Ingestor that is gone."""
        self._seen.pop(key, None)
