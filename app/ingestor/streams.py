"""Standard input, output and error that are there and take any text, whoever started the process."""

import io
import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""By descriptor: 0, 1 and 2."""


def prepare_streams() -> None:
    """Open what is closed on the null device, and let output escape what its encoding lacks.

    A descriptor below 3 that is free goes to the next socket or file: libuv aborts on one, and a child would take it
    for its output. Call this first of all.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        if _is_closed(descriptor):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            stream = os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")


def _is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False
