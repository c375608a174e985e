"""W3C trace context in the metadata of a call: out of the caller, into the server. Needs OpenTelemetry's API alone.

Source: W3C Trace Context, level 2, "traceparent Header" and "tracestate Header".
"""

import re
from collections.abc import Iterable, Sequence

from opentelemetry import trace
from opentelemetry.trace.span import TraceState

TRACE_PARENT = "traceparent"
TRACE_STATE = "tracestate"

_FORMAT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MAX_PARENT_CHARACTERS = 512
_MAX_STATE_CHARACTERS = 512

Metadata = Sequence[tuple[str, str]]


def inject(metadata: Metadata = ()) -> Metadata:
    """Return ``metadata`` with the current span's context, as it is where there is no span or the caller gave one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or any(name == TRACE_PARENT for name, _ in metadata):
        return metadata
    ids = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
    parent = (TRACE_PARENT, f"00-{ids}-{context.trace_flags:02x}")
    state = ((TRACE_STATE, context.trace_state.to_header()),) if context.trace_state else ()
    return (*metadata, parent, *state)


def extract(metadata: Iterable[tuple[str, str | bytes]]) -> trace.SpanContext | None:
    """Return the context of the caller's span, None where there is none or it can't be read.

    What can't be read is as good as nothing: a call is never refused for it.
    """
    parents: list[str] = []
    states: list[str] = []
    for name, value in metadata:
        if name == TRACE_PARENT:
            parents.append(str(value))
        elif name == TRACE_STATE:
            states.append(str(value))
    return _read(parents[0], states) if len(parents) == 1 else None


def _read(parent: str, states: Sequence[str]) -> trace.SpanContext | None:
    found = _FORMAT.fullmatch(parent.strip(" \t")) if len(parent) <= _MAX_PARENT_CHARACTERS else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    state_fits = states and sum(map(len, states)) + len(states) - 1 <= _MAX_STATE_CHARACTERS
    context = trace.SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header(list(states)) if state_fits else None,
    )
    return context if context.is_valid else None
