"""Run other programs: within a deadline, as another user where needed, and never outliving their caller.

Threads and ``subprocess``, not asyncio's own processes: uvloop cannot change the user, and a process of asyncio's dies
with the event loop that started it.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ingestor.errors import ConfigurationError, words_of
from ingestor.local.account import Account

Result = TypeVar("Result")

SHOWN_LINES = 12
"""Last lines of a failed program's output that an error repeats."""


class CommandError(ConfigurationError):
    """A program is missing, failed, or did not end in time; the text repeats the end of its output."""


async def run_to_its_end(work: Callable[[], Result]) -> Result:
    """Run ``work``, which starts or takes something, in a thread; who cancels it waits, so that nothing gets lost."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed before it ended well."""

    stdout: str
    stderr: str


class Runner(Protocol):
    """Whatever runs a program to its end."""

    async def __call__(self, *command: str | Path, timeout_s: float) -> Output:
        """Return the output of ``command``.

        Raises:
            CommandError: it is missing, failed, or did not end within ``timeout_s`` seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Run programs as ``account`` with the environment of this process and ``variables`` on top."""

    account: Account
    directory: Path = Path("/")
    variables: Mapping[str, str] | None = None

    async def __call__(self, *command: str | Path, timeout_s: float) -> Output:
        """Run ``command`` in a session of its own, so that a Ctrl-C of the terminal reaches only us.

        Raises:
            CommandError: it is missing, failed, or did not end within ``timeout_s`` seconds.
        """
        assignments = [f"{name}={value}" for name, value in (self.variables or {}).items()]
        words = [*(["env", *assignments] if assignments else []), *map(str, command)]
        process = spawn(words, self.account, self.directory, subprocess.PIPE)
        try:
            stdout, stderr = await asyncio.to_thread(_complete, process, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"`{_shown(command)}` did not end within {timeout_s:.0f} s") from error
        except asyncio.CancelledError:
            _kill_group(process)  # the thread sees the end of its output and reaps it
            raise
        output = Output(stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        if process.returncode != 0:
            lines = (output.stdout + output.stderr).strip().splitlines()[-SHOWN_LINES:]
            raise CommandError("\n  ".join([f"`{_shown(command)}` failed with {process.returncode}:", *lines]))
        return output


def spawn(
    command: Sequence[str], account: Account, directory: Path, output: int, source: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    """Start ``command`` in a session of its own; ``output`` and ``source`` are file descriptors or ``subprocess.PIPE``.

    Not in a thread: a cancellation must not lose a process that was just started, and asyncio itself forks like this.

    Raises:
        CommandError: there is no such program, or it may not be run.
    """
    other = account.uid != os.geteuid()
    try:
        return subprocess.Popen(  # noqa: S603 - each command is a list made here
            command,
            stdin=source,
            stdout=output,
            stderr=subprocess.PIPE if output == subprocess.PIPE else subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
            umask=0o022,
            user=account.uid if other else None,
            group=account.gid if other else None,
            extra_groups=[] if other else None,
        )
    except OSError as error:
        raise CommandError(f"`{_shown(command)}` cannot be run: {words_of(error)}") from error


def _complete(process: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        process.communicate()
        raise


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _shown(command: Sequence[str | Path]) -> str:
    words = [str(word) for word in command]
    return " ".join(words if len(words) <= 6 else [*words[:6], "…"])
