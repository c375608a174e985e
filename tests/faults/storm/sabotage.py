"""A server with its ledger switched off: no key is ever recognised. It shows that a storm finds doubled points.

``python -m faults.storm.sabotage``; everything else is as in ``ingestor serve``.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import uvloop
from opentelemetry.trace import Tracer

from ingestor.commands.serve import stop_on_signals
from ingestor.config import load_settings
from ingestor.runtime import Runtime
from ingestor.storage.contract import Batch, Outcome, Writer
from ingestor.telemetry.logging import configure_logging


class ForgetfulWriter:
    """A writer that stores every batch under a key that nobody will see again."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.connect, self.check = writer.connect, writer.check
        self.housekeep, self.close = writer.housekeep, writer.close

    @property
    def chunk_us(self) -> int:
        """Return the length of a chunk, in microseconds."""
        return self._writer.chunk_us

    def mint_key(self) -> uuid.UUID:
        """Return a new key."""
        return self._writer.mint_key()

    async def flush(self, batch: Batch) -> Sequence[Outcome]:
        """Store ``batch`` as if its requests had no keys and it were flushed for the first time."""
        parts = [replace(part, key=None) for part in batch.parts]
        return await self._writer.flush(Batch(parts, self.mint_key()))


class ForgetfulRuntime(Runtime):
    """A server process with such writers."""

    def _writers(self, tracer: Tracer | None) -> list[Writer]:
        return [ForgetfulWriter(writer) for writer in super()._writers(tracer)]


async def _serve() -> int:
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    return await ForgetfulRuntime(settings).run(stop_on_signals())


if __name__ == "__main__":
    raise SystemExit(uvloop.run(_serve()))
