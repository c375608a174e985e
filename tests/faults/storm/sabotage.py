"""Servers that break the contract on purpose, to show that a storm finds it: ``python -m faults.storm.sabotage NAME``.

Nothing of this can be switched on in the product.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import uvloop
from opentelemetry.trace import Tracer

from ingestor.commands.serve import stop_on_signals
from ingestor.config import load_settings
from ingestor.keys import mint_key
from ingestor.points import Reject
from ingestor.runtime import Runtime
from ingestor.storage.contract import Batch, FlushError, Outcome, Stored
from ingestor.storage.flush import FlushSettings
from ingestor.storage.rejects import RejectSampler
from ingestor.storage.writer import PostgresWriter
from ingestor.telemetry.logging import configure_logging


class LedgerOff(PostgresWriter):
    """Takes every key for a new one."""

    async def flush(self, batch: Batch) -> list[Outcome]:
        parts = [replace(part, key=mint_key()) for part in batch.parts]
        return await super().flush(Batch(parts, mint_key()))


class AckBeforeCommit(PostgresWriter):
    """Says that a batch is stored once it has begun to store it."""

    _behind: asyncio.Task[Sequence[Outcome]] | None = None

    async def flush(self, batch: Batch) -> list[Outcome]:
        await self._finish()
        self._connected()
        self._behind = asyncio.create_task(super().flush(batch))
        return [Stored(len(part.points)) for part in batch.parts]

    async def check(self) -> None:
        await self._finish()
        await super().check()

    async def housekeep(self) -> None:
        await self._finish()
        await super().housekeep()

    async def close(self) -> None:
        await self._finish()
        await super().close()

    async def _finish(self) -> None:
        behind, self._behind = self._behind, None
        if behind is not None:
            with suppress(FlushError):
                await behind


class _KeepNone(RejectSampler):
    @contextmanager
    def sample(self, rejects: Iterable[Reject]) -> Iterator[list[Reject]]:
        yield []


class SilentRefusals(PostgresWriter):
    """Says that points are stored which the database refused, and keeps none of them."""

    def __init__(self, url: str, schema: str, settings: FlushSettings) -> None:
        super().__init__(url, schema, replace(settings, rejects=_KeepNone()))

    async def flush(self, batch: Batch) -> list[Outcome]:
        return [
            Stored(outcome.accepted + sum(outcome.rejected.values())) if isinstance(outcome, Stored) else outcome
            for outcome in await super().flush(batch)
        ]


WRITERS: dict[str, type[PostgresWriter]] = {
    "ledger": LedgerOff,
    "ack": AckBeforeCommit,
    "silence": SilentRefusals,
}


class SabotagedRuntime(Runtime):
    """The server with other writers."""

    writer: type[PostgresWriter]

    def _writers(self, tracer: Tracer | None) -> list[PostgresWriter]:
        return [self.writer(one._url, one._schema, one._settings) for one in super()._writers(tracer)]


async def _serve(name: str) -> int:
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    SabotagedRuntime.writer = WRITERS[name]
    return await SabotagedRuntime(settings).run(stop_on_signals())


if __name__ == "__main__":
    sys.exit(uvloop.run(_serve(sys.argv[1])))
