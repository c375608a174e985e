"""To whom a client belongs: the thread, the process and the event loop that entered it."""

import asyncio
import os
import threading
import weakref

from ingestor.client.failures import ClientClosedError, ForeignUseError

NOBODY = 0
"""No thread has this identity."""


class Owner:
    """Whoever entered a client, until it is left.

    ``thread`` is what the way of every point compares with: a look at the running loop costs more than the rest.
    """

    __slots__ = ("__weakref__", "_loop", "_pid", "thread")

    def __init__(self) -> None:
        self.thread = NOBODY
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = NOBODY

    def enter(self) -> None:
        """Make the running loop, its thread and process the owner."""
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self.thread = threading.get_ident()
        _ENTERED.add(self)

    def leave(self) -> None:
        """Let nobody own it any more."""
        self.thread = NOBODY

    @property
    def is_forked(self) -> bool:
        """Tell whether this process is a copy of the one that entered."""
        return self._loop is not None and self._pid != os.getpid()

    def check(self) -> None:
        """Refuse a use outside the owner's loop.

        Raises:
            ClientClosedError: it is not entered, or left.
            ForeignUseError: another process, thread or loop is the owner.
        """
        if self.thread != threading.get_ident():
            raise self.trouble()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self._loop:
            raise ForeignUseError(f"{_BELONGS}: here runs {'another one' if running else 'none'}")

    def check_thread(self) -> None:
        """Refuse a use by another thread or process; before it is entered and after it is left all may.

        Raises:
            ForeignUseError: another process or thread is the owner.
        """
        if self.is_forked or self.thread not in (NOBODY, threading.get_ident()):
            raise self.trouble()

    def trouble(self) -> ClientClosedError | ForeignUseError:
        """Return what is wrong where this thread is not the owner."""
        if self.is_forked:
            return ForeignUseError(f"{_BELONGS} in process {self._pid}: this one was forked")
        if self.thread == NOBODY:
            return ClientClosedError("points are recorded inside the client's `async with` block only")
        return ForeignUseError(f"{_BELONGS}: other threads hand points over with `loop.call_soon_threadsafe`")


_BELONGS = "a client belongs to the event loop that entered it"
_ENTERED: weakref.WeakSet[Owner] = weakref.WeakSet()
"""Of this process; the hook below can't be taken back, so there is one for all."""


def _disown() -> None:
    # A forked process has its parent's thread identity.
    for owner in _ENTERED:
        owner.leave()


os.register_at_fork(after_in_child=_disown)
