"""Decide when to look at a database again, and remember what was seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from ingestor_operator.conditions.verdict import Verdict
from ingestor_operator.credentials import Credentials
from ingestor_operator.database import SchemaVerdict, Target, check_durability, check_login, keep_schema
from ingestor_operator.metrics import Metrics
from ingestor_operator.queue import Key

RETRY_S = 8.0
"""Pause between two looks at a database that is not as it should be."""


@dataclass(frozen=True, slots=True)
class _Seen:
    target: Target
    verdict: SchemaVerdict
    at: float


class _Memo:
    """Answers about databases by URL, each good for a while: many Ingestors may share one."""

    def __init__(self, ask: Callable[[str], Awaitable[Verdict]], good_s: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._good_s = good_s
        self._clock = clock
        self._known: dict[str, tuple[Verdict, float]] = {}

    async def get(self, url: str) -> Verdict:
        now = self._clock()
        self._known = {place: seen for place, seen in self._known.items() if now - seen[1] < self._good_s}
        if url not in self._known:
            self._known[url] = await self._ask(url), now
        return self._known[url][0]


class SchemaKeeper:
    """Looks at each Ingestor's schema when something about it changed, when it is suspect, and once a resync."""

    def __init__(
        self,
        metrics: Metrics,
        interval_s: float,
        keep: Callable[[Target], Awaitable[SchemaVerdict]] = keep_schema,
        log_in: Callable[[str], Awaitable[Verdict]] = check_login,
        durability: Callable[[str], Awaitable[Verdict]] = check_durability,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._metrics = metrics
        self._interval_s = interval_s
        self._keep = keep
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}
        self._logins = _Memo(log_in, RETRY_S, clock)
        self._durability = _Memo(durability, interval_s, clock)

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
        """Return whether the database takes a writer's credentials."""
        return await self._logins.get(credentials.url)

    async def check_durability(self, target: Target) -> Verdict:
        """Return what a crash or a failover of the database may cost."""
        return await self._durability.get(target.owner_url)

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
