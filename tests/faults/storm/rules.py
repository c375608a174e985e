"""Rules that the database is given under load, when each of them stood, and what has to become of points meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import asyncpg

from faults.storm.database import DOWN
from faults.storm.marks import Fate, Mark

STATES = ("P0001", "22023", "23514", "XX000", "40001", "42501", "55P03", "57014", "25006", "0A000", "53100", "08006")
"""What a trigger raises: of each class of errors that a server tells apart, and of none."""

_LOCK_TIMEOUT_MS = 50
"""Longest wait of the administrator for a lock; whoever comes after him waits as long."""
_PAUSE_S = 0.1
_REFUSED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.InsufficientResourcesError)

SETUP = f"""
CREATE SCHEMA storm;
GRANT USAGE ON SCHEMA storm TO PUBLIC;
CREATE FUNCTION storm.refuse_sample() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.value - floor(NEW.value) = {Mark.RAISED.value} THEN
        RAISE EXCEPTION 'a trigger refuses % – вето', NEW.value USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION storm.refuse_series() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF starts_with(NEW.metric_name, 'blocked.') THEN
        RAISE EXCEPTION 'a trigger refuses the series %', NEW.metric_name USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION storm.refuse_reject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.point->>'value' LIKE '-%.5' THEN
        RAISE EXCEPTION 'a trigger refuses the reject' USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NEW;
END $$;
ALTER TABLE analytics.samples ADD CONSTRAINT storm_positive CHECK (value >= 0);
"""
_ADD: Mapping[Mark, str] = {
    Mark.CHECKED: "ALTER TABLE analytics.samples ADD CONSTRAINT storm_check"
    f" CHECK (value - floor(value) <> {Mark.CHECKED.value}) NOT VALID",
    Mark.RAISED: "CREATE TRIGGER storm_raise BEFORE INSERT ON analytics.samples"
    " FOR EACH ROW EXECUTE FUNCTION storm.refuse_sample('{state}')",
    Mark.BLOCKED: "CREATE TRIGGER storm_raise BEFORE INSERT ON analytics.series"
    " FOR EACH ROW EXECUTE FUNCTION storm.refuse_series('{state}')",
    Mark.UNKEPT: "CREATE TRIGGER storm_raise BEFORE INSERT ON analytics.rejects"
    " FOR EACH ROW EXECUTE FUNCTION storm.refuse_reject('{state}')",
}
_SERIES_CHECK = (
    "ALTER TABLE analytics.series ADD CONSTRAINT storm_check CHECK (NOT starts_with(metric_name, 'blocked.')) NOT VALID"
)
_REMOVE: Mapping[Mark, str] = {
    Mark.CHECKED: "ALTER TABLE analytics.samples DROP CONSTRAINT IF EXISTS storm_check",
    Mark.RAISED: "DROP TRIGGER IF EXISTS storm_raise ON analytics.samples",
    Mark.BLOCKED: "DROP TRIGGER IF EXISTS storm_raise ON analytics.series;"
    "ALTER TABLE analytics.series DROP CONSTRAINT IF EXISTS storm_check",
    Mark.UNKEPT: "DROP TRIGGER IF EXISTS storm_raise ON analytics.rejects",
}


@dataclass(slots=True)
class _Stand:
    """When a rule may have stood (``first_s`` to ``last_s``) and when it did for certain, by the loop's clock."""

    first_s: float
    certain_s: float = inf
    doubtful_s: float = inf
    last_s: float = inf


class Rules:
    """Adds and removes the rule that each mark is meant for, by connections that ``connect`` makes."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._stands: dict[Mark, list[_Stand]] = {mark: [] for mark in Mark}
        self._locks = {mark: asyncio.Lock() for mark in Mark}

    def lock(self, mark: Mark) -> asyncio.Lock:
        """Return what whoever adds and removes a rule holds meanwhile."""
        return self._locks[mark]

    async def add(self, mark: Mark, choice: int) -> None:
        """Add a rule under load; ``choice`` is a number that decides which SQLSTATE it raises."""
        stand = _Stand(asyncio.get_running_loop().time())
        self._stands[mark].append(stand)
        statement = _ADD[mark]
        if mark is Mark.BLOCKED and choice % 2:
            statement = _SERIES_CHECK
        await self._change(f"{_REMOVE[mark]}; {statement.format(state=STATES[choice % len(STATES)])}")
        stand.certain_s = asyncio.get_running_loop().time()

    async def remove(self, mark: Mark) -> None:
        """Remove a rule under load."""
        stand = self._stands[mark][-1]
        stand.doubtful_s = asyncio.get_running_loop().time()
        await self._change(_REMOVE[mark])
        stand.last_s = asyncio.get_running_loop().time()

    def fate(self, mark: Mark | None, sent_s: float, settled_s: float) -> Fate:
        """Return what has to become of a point that was under way from ``sent_s`` to ``settled_s``."""
        if mark is None:
            return Fate.STORED
        if mark is Mark.UNKEPT:
            return Fate.REFUSED
        stands = self._stands[mark]
        if any(stand.certain_s <= sent_s and settled_s <= stand.doubtful_s for stand in stands):
            return Fate.REFUSED
        if any(stand.first_s <= settled_s and sent_s <= stand.last_s for stand in stands):
            return Fate.EITHER
        return Fate.STORED

    async def _change(self, statements: str) -> None:
        """Run ``statements`` as one transaction, again and again until the lock is had and the database is up."""
        while True:
            with suppress(*DOWN, *_REFUSED):
                connection = await self._connect()
                try:
                    await connection.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
                    await connection.execute(statements)
                    return
                finally:
                    connection.terminate()
            await asyncio.sleep(_PAUSE_S)
