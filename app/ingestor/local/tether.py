"""What is to be done when this process ends without having done it: a shell waits beside it for its end.

Only this process holds one end of the shell's input, so that the kernel closes it even after a SIGKILL, and after a
signal that came twice. ``PR_SET_PDEATHSIG`` would act when the thread ends that started the child.
"""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from ingestor.local.account import Account, current_account
from ingestor.local.processes import spawn

_SCRIPT = 'read -r _ || "$@"'
"""A line ends the wait, the end of input runs the command."""


class Tether:
    """Runs ``command`` as ``account`` once this process is gone, unless it was released before.

    Raises:
        CommandError: there is no shell.
    """

    def __init__(self, account: Account, *command: str) -> None:
        words = ["sh", "-c", _SCRIPT, "sh", *command]
        self._watcher = spawn(words, account, Path("/"), subprocess.DEVNULL, subprocess.PIPE)

    def release(self) -> None:
        """Forget the command; does nothing the second time."""
        assert self._watcher.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it was ended by somebody, or released before
            os.write(self._watcher.stdin.fileno(), b"\n")
        self._watcher.stdin.close()
        self._watcher.wait()


def tie_process(pid: int, number: signal.Signals, account: Account | None = None) -> Tether:
    """Return a tether that sends a signal to a child of this process; release it when the child has ended."""
    return Tether(account or current_account(), "kill", "-s", number.name.removeprefix("SIG"), str(pid))
