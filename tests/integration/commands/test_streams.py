"""Commands end as they should whatever their input and output are: closed, a pipe nobody reads, any encoding."""

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest
import yaml

from support.database import Database

NOWHERE = "postgresql://owner@127.0.0.1:1/none"
INGESTOR = (sys.executable, "-m", "ingestor")
SENDS_NOWHERE = ("load", "--target", "127.0.0.1:1", "--points", "10", "--series", "2", "--give-up-after", "0.2")
OPERATOR = (sys.executable, "-m", "ingestor_operator", "run")
ALL = "<&- >&- 2>&-"
TIMEOUT_S = 60.0


async def _run(*command: str, redirect: str = "", **variables: str) -> tuple[int | None, str]:
    """Run a command with a shell's redirections and return its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {redirect}', "sh", *command),
        env=os.environ | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    return process.returncode, output.decode(errors="replace")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
async def test_a_report_is_printed_in_any_encoding(encoding: str) -> None:
    code, output = await _run(*INGESTOR, *SENDS_NOWHERE, PYTHONIOENCODING=encoding, COLUMNS="70")
    assert "Traceback" not in output
    assert "points given up" in output
    assert code == 1


async def test_a_report_is_printed_in_a_locale_without_utf_8() -> None:
    legacy = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code, output = await _run(*INGESTOR, *SENDS_NOWHERE, **legacy)
    assert "Traceback" not in output
    assert "points given up" in output
    assert code == 1


@pytest.mark.parametrize("terminal", [{"TERM": "dumb"}, {"TERM": ""}, {"COLUMNS": "1"}, {"COLUMNS": "wide"}])
async def test_a_report_is_printed_on_any_terminal(terminal: dict[str, str]) -> None:
    code, output = await _run(*INGESTOR, *SENDS_NOWHERE, **terminal)
    assert "Traceback" not in output
    assert code == 1


@pytest.mark.parametrize(
    ("command", "redirect", "expected"),
    [
        *(((*INGESTOR, *SENDS_NOWHERE), redirect, 1) for redirect in ("<&-", ">&-", "2>&-", ALL)),
        *(((*INGESTOR, "dev"), redirect, 1) for redirect in ("<&-", ALL)),
        ((*INGESTOR, "schema", "plan", "--database-url", NOWHERE), ALL, 1),
        (OPERATOR, ALL, 2),
    ],
)
async def test_closed_descriptors_change_nothing_but_what_is_shown(
    command: tuple[str, ...], redirect: str, expected: int
) -> None:
    code, output = await _run(*command, redirect=redirect, INGESTOR_DATABASE_URL=NOWHERE)
    assert "Traceback" not in output
    assert code == expected


@pytest.mark.parametrize("redirect", ["| true", "2>&1 >/dev/null | true", "2>&1 | true"])
async def test_an_output_that_nobody_reads_ends_it_quietly(redirect: str) -> None:
    _, output = await _run(*INGESTOR, *SENDS_NOWHERE, redirect=redirect)
    assert output == ""


@pytest.mark.parametrize("command", [("key",), ("--help",), SENDS_NOWHERE])
async def test_an_output_on_a_full_disk_is_told_in_one_line(command: tuple[str, ...]) -> None:
    code, errors = await _run(*INGESTOR, *command, redirect="2>&1 >/dev/full")
    assert "Traceback" not in errors
    assert errors.endswith("the output can't be written (No space left on device); what was asked for may be done\n")
    assert code == 1


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf"])
async def test_dev_refuses_an_interval_before_anything_starts(interval: str) -> None:
    code, output = await _run(*INGESTOR, "dev", "--interval", interval, INGESTOR_DATABASE_URL=NOWHERE)
    assert output.startswith("ingestor: --interval")
    assert code == 1


async def test_dev_ends_in_order_if_nobody_reads_its_output(database: Database) -> None:
    free = {"INGESTOR_GRPC_PORT": "0", "INGESTOR_HTTP_PORT": "0", "INGESTOR_DATABASE_URL": database.admin_url}
    _, errors = await _run(*INGESTOR, "dev", "--burst", "10", redirect="| head -1 >/dev/null", **free)
    assert errors == ""


async def test_a_terminal_of_another_session_is_left_alone() -> None:
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(*INGESTOR, "dev"),
            env=os.environ | {"INGESTOR_DATABASE_URL": NOWHERE},
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"Traceback" not in output
    assert process.returncode == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_spec_is_read_in_its_own_encoding(tmp_path: Path, encoding: str) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_bytes(yaml.safe_dump({"name": "東京"}, allow_unicode=True).encode(encoding))
    command = (*INGESTOR, "schema", "plan", "--database-url", NOWHERE, "--file", str(spec))
    code, output = await _run(*command, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert "Traceback" not in output
    assert "name: " in output
    assert code == 1
