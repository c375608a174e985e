"""What is known of the database: which lanes can write, what was the last error, and what forbids new requests."""

import logging
import random
import time
from collections.abc import Callable

from ingestor.errors import TransientError
from ingestor.storage.contract import ErrorClass, FlushError
from ingestor.telemetry.logging import span_ids
from ingestor.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_BLOCKING = {ErrorClass.SCHEMA: "schema_not_ready", ErrorClass.DISK_FULL: "database_disk_full"}
_BASE_DELAY_S = 0.1
_MAX_DELAY_S = {ErrorClass.SCHEMA: 5.0, ErrorClass.DISK_FULL: 5.0, ErrorClass.UNKNOWN: 5.0}
_USUAL_MAX_DELAY_S = 1.0


class DatabaseHealth:
    """Shared by all lanes of a process."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._up: set[int] = set()
        self._blocked: dict[int, str] = {}
        self.last_error: str | None = None
        self.last_commit_at: float | None = None
        self.commits = 0
        self.refusal: str | None = None

    @property
    def up(self) -> bool:
        """Tell whether at least one lane can write."""
        return bool(self._up)

    @property
    def blocked(self) -> str | None:
        """Return why no request may be admitted, None where they may."""
        return None if self._up or not self._blocked else next(iter(self._blocked.values()))

    def check_admission(self) -> None:
        """Refuse while a person must act or the disk is full.

        Raises:
            TransientError: the reason is one of ``schema_not_ready``, ``database_disk_full``.
        """
        if self.blocked:
            raise TransientError("the database takes no points now; the server's /status says why", reason=self.blocked)

    def lane_works(self, lane: int, *, committed: bool = False) -> None:
        """Note that a lane connected, or committed."""
        if committed:
            self.commits += 1
            self.last_commit_at = self._clock()
            self._metrics.last_commit.set(self.last_commit_at)
        if lane not in self._up:
            self._up.add(lane)
            self._blocked.pop(lane, None)
            self._metrics.database_up.set(1)
            logger.info("database connection works", extra={"lane": lane})

    def note_refusal(self, refusal: str | None) -> None:
        """Note why the database refused every point of the last flush, None if it took some."""
        if refusal != self.refusal and refusal is not None:
            logger.error("the database refuses every point that arrives", extra={"error": refusal})
        self.refusal = refusal

    def flush_failed(self, lane: int, error: FlushError) -> None:
        """Note an error that may be the fault of what was to be stored, not of the database."""
        self._metrics.database_errors.labels(error.error_class).inc()
        if str(error) != self.last_error:
            extra = {"lane": lane, "error": str(error), **span_ids(error.span)}
            logger.warning("flush failed, will retry", extra=extra)
        self.last_error = str(error)

    def lane_failed(self, lane: int, error: FlushError) -> None:
        """Note an error; where it ends the lane's ability to write, the lane is down until it works again."""
        self._metrics.database_errors.labels(error.error_class).inc()
        news = str(error) != self.last_error or lane in self._up
        self.last_error = str(error)
        if error.error_class not in (ErrorClass.RETRY, ErrorClass.SPLIT):
            self._up.discard(lane)
            self._metrics.database_up.set(1 if self._up else 0)
        if error.error_class in _BLOCKING:
            self._blocked[lane] = _BLOCKING[error.error_class]
        else:
            self._blocked.pop(lane, None)
        if news:
            needs_a_person = error.error_class in (ErrorClass.SCHEMA, ErrorClass.UNKNOWN, ErrorClass.DISK_FULL)
            level = logging.ERROR if needs_a_person else logging.WARNING
            extra = {"lane": lane, "error": str(error), **span_ids(error.span)}
            logger.log(level, "flush failed, will retry", extra=extra)


def retry_delay_s(attempt: int, error_class: ErrorClass) -> float:
    """Return the pause before retry ``attempt`` (the first is 1), in seconds, jittered by a fifth either way.

    Short at most, so that commits resume soon after the database is back.
    """
    longest = _MAX_DELAY_S.get(error_class, _USUAL_MAX_DELAY_S)
    delay = min(longest, _BASE_DELAY_S * 2.0 ** min(attempt - 1, 20))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret
