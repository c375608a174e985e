"""A client that is never left: when nobody can send its points any more, the log says how many are lost."""

import logging
import os
import weakref
from collections.abc import Callable, Iterable

from ingestor.client.accounts import Accounts

logger = logging.getLogger(__name__)


def watch(
    sends: object, accounts: Accounts, write_lines: Iterable[Callable[[], None]]
) -> "weakref.finalize[..., object]":
    """Return what writes the log once ``sends`` is gone, or the interpreter ends, unless it is detached before.

    Nothing that is given along may refer to ``sends``, or it would be kept.
    """
    return weakref.finalize(sends, _report, accounts, tuple(write_lines), os.getpid())


def _report(accounts: Accounts, write_lines: Iterable[Callable[[], None]], pid: int) -> None:
    if os.getpid() != pid:  # a forked process: its parent has the points
        return
    for write in write_lines:
        write()
    if accounts.pending_points:
        logger.error(
            "a client was never left, and %d points without an answer are lost",
            accounts.pending_points,
            extra={"count": accounts.pending_points},
        )
