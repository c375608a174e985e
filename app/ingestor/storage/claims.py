"""Which parts of a batch are ours to store: the ledger's answer, part by part."""

import uuid
from collections.abc import Sequence

import asyncpg

from ingestor.errors import CommitUnknownError, KeyExpiredError, KeyInFlightError, KeyReusedError
from ingestor.keys import minted_ms
from ingestor.storage.connection import Connection
from ingestor.storage.contract import Batch, Deferred, Duplicate, Failed, Outcome
from ingestor.storage.ledger import (
    Claims,
    Entry,
    Floor,
    claim_keys,
    claim_keys_singly,
    correct_entries,
    find_entries,
)


class PartClaims:
    """Claim the keys of the parts of one batch in the transaction that is open, right after its savepoint ``start``."""

    def __init__(self, connection: Connection, batch: Batch, floor: Floor) -> None:
        self._connection = connection
        self._batch = batch
        self._storable = [part.storable for part in batch.parts]
        self._floor = floor

    async def claim(self, parts: Sequence[int]) -> dict[int, Outcome]:
        """Return an outcome for each of ``parts`` that must not be stored now; the others are claimed."""
        outcomes = await self._refuse_expired(parts)
        fresh = [index for index in parts if index not in outcomes]
        entries = self._entries(fresh)
        claims = await self._claim_entries(entries)
        for index in fresh:
            outcome = self._claimed(index, claims)
            if outcome:
                outcomes[index] = outcome
        return outcomes

    async def correct(self, parts: Sequence[int]) -> None:
        """Write the true counts of claimed ``parts`` if points of them were set aside since they were claimed."""
        before, self._storable = self._storable, [part.storable for part in self._batch.parts]
        changed = [index for index in parts if before[index] != self._storable[index]]
        keyless = {index for index in parts if self._batch.parts[index].key is None}
        if keyless.intersection(changed):  # they share one row
            changed += keyless.difference(changed)
        if changed:
            await correct_entries(self._connection, self._entries(changed))

    def _entries(self, parts: Sequence[int]) -> list[Entry]:
        """Return the ledger's rows for ``parts``."""
        keyed = [index for index in parts if self._batch.parts[index].key]
        keyless = [index for index in parts if self._batch.parts[index].key is None]
        entries = [self._entry(self._key(index), self._batch.parts[index].digest, [index]) for index in keyed]
        return [*entries, self._entry(self._batch.own_key, 0, keyless)] if keyless else entries

    def _entry(self, key: uuid.UUID, digest: int, parts: Sequence[int]) -> Entry:
        accepted = sum(self._storable[index] for index in parts)
        return Entry(key, digest, accepted, sum(map(self._total, parts)) - accepted)

    def _total(self, index: int) -> int:
        part = self._batch.parts[index]
        return len(part.points) + part.rejected

    async def _claim_entries(self, entries: list[Entry]) -> Claims:
        if not entries:
            return Claims({}, frozenset())
        try:
            return await claim_keys(self._connection, entries)
        except asyncpg.LockNotAvailableError:
            await self._connection.execute("ROLLBACK TO SAVEPOINT start")
            return await claim_keys_singly(self._connection, entries)

    async def _refuse_expired(self, parts: Sequence[int]) -> dict[int, Outcome]:
        """Return an outcome for each part whose key is below the floor: the ledger may have forgotten such keys.

        A key of our own is checked only where it is used again: a first time can be no repeat.
        """
        keys = {index: self._key(index) for index in parts if self._batch.parts[index].key or self._batch.repeated}
        floor = await self._floor.read(self._connection) if keys else None
        if floor is None:
            return {}
        floor_ms = floor.timestamp() * 1000
        old = {index: key for index, key in keys.items() if minted_ms(key) < floor_ms}
        if not old:
            return {}
        # Deleted only minutes later, so the ledger may still tell a repeat.
        claims = Claims(await find_entries(self._connection, list(set(old.values()))), frozenset())
        return {index: self._claimed(index, claims) or self._expired(index) for index in old}

    def _expired(self, index: int) -> Outcome:
        if self._batch.parts[index].key:
            return Failed(KeyExpiredError())
        return Failed(
            CommitUnknownError("the outcome of a commit can't be found out any more", reason="commit_unknown")
        )

    def _key(self, index: int) -> uuid.UUID:
        return self._batch.parts[index].key or self._batch.own_key

    def _claimed(self, index: int, claims: Claims) -> Outcome | None:
        part = self._batch.parts[index]
        key = self._key(index)
        if key in claims.stuck:
            return Deferred(KeyInFlightError(), ("key", key))
        entry = claims.present.get(key)
        if entry is None:
            return None
        if part.key is None:
            return Duplicate(self._storable[index], self._total(index) - self._storable[index])
        if entry.digest != part.digest:
            return Failed(KeyReusedError())
        return Duplicate(entry.accepted, entry.rejected)
