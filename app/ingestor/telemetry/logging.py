"""Logs: one JSON object a line in pods, readable text on a terminal; data in ``extra``, never in the message."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from opentelemetry import trace

_TRACING_LOG_INTERVAL_S = 60.0
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object with time, level, logger, message and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """Format a record for a person: time, level, message, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{time} {record.levelname.lower():7} {record.getMessage()}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(log_format: Literal["auto", "json", "console"], level: str) -> None:
    """Send all logs to standard error in the given format; ``auto`` is console on a terminal."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    handler.addFilter(SeldomFilter("opentelemetry", _TRACING_LOG_INTERVAL_S))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def span_ids(context: trace.SpanContext | None) -> dict[str, str]:
    """Return the ids of a span as the fields of a log line, none where there is no span."""
    if context is None or not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


class SeldomFilter(logging.Filter):
    """Lets a library's records through once in ``interval_s`` seconds and never above ``warning``.

    For what goes on by itself and repeats: a trace collector that is away is no error of the service.
    """

    def __init__(self, library: str, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(library)
        self._interval_s = interval_s
        self._clock = clock
        self._next_at = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is shown."""
        if not super().filter(record):  # not the library's
            return True
        if self._clock() < self._next_at:
            return False
        self._next_at = self._clock() + self._interval_s
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """Return the data of a record; within a recorded span its ids are among them."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    return span_ids(trace.get_current_span().get_span_context()) | extra
