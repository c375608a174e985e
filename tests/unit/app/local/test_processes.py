"""Programs are run with a deadline and never outlive their caller."""

import asyncio
import os
import threading
from pathlib import Path

import psutil
import pytest

from ingestor.local.account import current_account
from ingestor.local.processes import CommandError, CommandRunner, run_to_its_end
from support.eventually import eventually

RUN = CommandRunner(current_account())


async def test_output_is_given_back() -> None:
    output = await RUN("sh", "-c", "echo out; echo err >&2", timeout_s=10)
    assert (output.stdout, output.stderr) == ("out\n", "err\n")


async def test_variables_are_set_on_top_of_the_environment() -> None:
    run = CommandRunner(current_account(), variables={"COLOUR": "deep blue"})
    assert (await run("sh", "-c", 'echo "$COLOUR"; test -n "$PATH"', timeout_s=10)).stdout == "deep blue\n"


async def test_a_failure_repeats_the_end_of_the_output() -> None:
    with pytest.raises(CommandError, match=r"failed with 3:\n  first\n  second"):
        await RUN("sh", "-c", "echo first; echo second >&2; exit 3", timeout_s=10)


async def test_a_missing_program_is_said() -> None:
    with pytest.raises(CommandError, match="cannot be run"):
        await RUN("/nowhere/program", timeout_s=10)


async def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    for timeout_s in (0.5, 5, 50):  # until the shell got so far
        with pytest.raises(CommandError, match="did not end within"):
            await RUN("sh", "-c", f"sleep 300 & echo $! > {pid_file}; wait", timeout_s=timeout_s)
        if pid_file.exists() and pid_file.read_text():
            break
    pid = int(pid_file.read_text())
    await eventually(lambda: not _is_running(pid))


async def test_a_cancelled_program_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    running = asyncio.create_task(
        RUN("sh", "-c", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 300", timeout_s=300)
    )
    await eventually(pid_file.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int(pid_file.read_text())
    await eventually(lambda: not _is_running(pid))


async def test_a_program_has_a_session_of_its_own_so_that_the_terminals_ctrl_c_spares_it() -> None:
    output = await RUN("sh", "-c", "ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat", timeout_s=10)
    assert int(output.stdout) != os.getsid(0)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_who_cancels_what_takes_something_has_it_before_he_goes_on() -> None:
    may_end, taken = threading.Event(), []

    def take() -> None:
        may_end.wait(60)
        taken.append("it")

    taking = asyncio.create_task(run_to_its_end(take))
    await asyncio.sleep(0)
    taking.cancel()
    asyncio.get_running_loop().call_later(0.05, may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert taken == ["it"]


async def test_it_returns_and_raises_what_the_work_does() -> None:
    assert await run_to_its_end(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_to_its_end(lambda: 1 // 0)
