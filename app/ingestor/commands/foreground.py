"""Take the terminal for a while, so that Ctrl-C reaches this process and not the ``make`` that started it.

``make`` ends by the signal whatever its recipe returns; left out of it, it returns the recipe's own exit code.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def foreground() -> Iterator[None]:
    """Make this process the terminal's foreground group, if it has a terminal; give it back at the end.

    Ctrl-Z is ignored meanwhile: nobody would notice that this group stopped.
    """
    try:
        terminal = sys.stdin.fileno()
        before = os.tcgetpgrp(terminal)
    except OSError:  # no terminal, or that of another session
        yield
        return
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    # Taking the terminal from the background, as the end does, would otherwise stop this process.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        with suppress(OSError):  # the terminal, or the group, may be gone by now
            os.tcsetpgrp(terminal, before)
